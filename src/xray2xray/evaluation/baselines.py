"""What a world model has to exceed: predictors without a network, fitted on the training cohort.

`Baselines` is the small file that the package ships, so that all but the two of ridge regression work without the
training cohort: mean views, tiny frontals, and the seeds from which a neighbour's views are rendered again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError, reading
from ..data.groups import group_of
from ..data.store import SCALE, ViewStore
from ..io.files import atomic_path
from ..io.model_folder import cohort_words, folder_of, is_packaged
from ..io.npz import read_npz
from ..parallel.progress import progress
from ..projection.geometry import STANDARD_ARC, Geometry
from .kernel_ridge import KernelRidge
from .metrics import Array, unit
from .predictors import NEIGHBOURS, SMALL, CopyInput, MeanView, NearestCases, Predictor, Views, shrink, unit_of
from .ridge import RidgePCA

FORMAT, FILE = "xray2xray-baselines", "baselines.npz"
MAX_TRAIN = 4000  # patients held in memory, 1.2 MB each at 128 pixels


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The views of one store or several, from which baselines learn.

    Attributes:
        geometry: of all of them.
        views: uint16 counts (n, 37, h, w) of the standard arc.
        patients: (n,), whose each is: a CT and all its warps are one.
        weight: (n,), such that every store counts alike: a few real scans beside thousands of virtual patients.
        cohort: whose views they are, in words.
    """

    geometry: Geometry
    views: Views
    patients: list[str]
    weight: Array
    cohort: str


def fit_on_store(
    views: Views, input_index: int, patients: Sequence[str] | None = None, weight: Array | None = None
) -> dict[str, Predictor]:
    """All baselines that views teach, from uint16 counts (n, angles, h, w); `patients` and `weight` are those of
    `KernelRidge.fit`, which alone uses them."""
    frontal = views.shape[1] == len(STANDARD_ARC) and STANDARD_ARC[input_index] == 0
    return {
        "copy_input": CopyInput(views.shape[1]),
        "mean_view": MeanView(_mean_of(views)),
        "knn10": NearestCases(shrink(unit_of(views[:, input_index])), lambda i: unit_of(views[i])),
        "ridge_pca": RidgePCA.fit(views, input_index),
        "kernel_ridge": KernelRidge.fit(views, input_index, patients, weight, mirror=frontal),
    }


def training_set(folders: Sequence[str | Path], limit: int = MAX_TRAIN) -> TrainingSet:
    """The standard arc of the studies of some stores; of more than `limit` the largest store gives way first.

    Raises:
        InputError: a store that is empty or damaged, or of another geometry than the first.
    """
    stores = [_opened(folder) for folder in folders]
    for store in stores[1:]:
        if store.geometry != stores[0].geometry:
            raise InputError(
                f"{store.folder} and {stores[0].folder} hold views of other geometries or sizes; render them alike"
            )
    studies = [store.training_studies() for store in stores]
    left, taken = limit, [0] * len(stores)
    for waiting, number in enumerate(sorted(range(len(stores)), key=lambda i: len(studies[i]))):
        taken[number] = min(len(studies[number]), left // (len(stores) - waiting))
        left -= taken[number]
    chosen = [(store, _spaced(some, count)) for store, some, count in zip(stores, studies, taken, strict=True)]
    return TrainingSet(
        stores[0].geometry,
        np.concatenate([store.read_standard(some, np.uint16) for store, some in chosen]),
        [group_of(store.read_labels(study), study) for store, some in chosen for study in some],
        np.repeat([1 / count for count in taken], taken),
        " and ".join(store.words(some) for store, some in chosen),
    )


def training_views(store: ViewStore | str | Path, limit: int = MAX_TRAIN) -> Views:
    """The standard arc of a store's patients, uint16 (n, 37, h, w); of more than `limit`, evenly spaced ones."""
    store = _opened(store)
    return store.read_standard(_spaced(store.training_studies(), limit), dtype=np.uint16)


def _spaced(studies: Sequence[str], limit: int) -> list[str]:
    """At most `limit` studies, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(studies) - 1, min(limit, len(studies))).round().astype(int))
    return [studies[i] for i in chosen]


def _opened(store: ViewStore | str | Path) -> ViewStore:
    """The training store, which must hold a patient."""
    store = store if isinstance(store, ViewStore) else ViewStore.open(store)
    if not store.training_studies():
        raise InputError(f"{store.folder} holds no training study; render some patients into it first")
    return store


# ---------------------------------------------------------------- the shipped file


@dataclass(frozen=True)
class Baselines:
    """The training cohort in a few hundred kilobytes.

    Attributes:
        geometry: how its views were taken.
        yaw_deg: (angles,) of the mean views.
        mean_views: uint16 counts (angles, h, w), 4096 per unit of p.
        small_frontals: uint8 (n, 32, 32), see `shrink`; `seeds`: int64 (n,), the patients they belong to. Both are
            empty where patients are real: their views cannot be made again, and nobody's frontal travels with a model.
        cohort: whose views they are, in words.
    """

    geometry: Geometry
    yaw_deg: NDArray[np.float32]
    mean_views: Views
    small_frontals: NDArray[np.uint8]
    seeds: NDArray[np.int64]
    cohort: str = ""

    def save(self, path: str | Path) -> None:
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                format=np.array(FORMAT),
                geometry=np.array(json.dumps(asdict(self.geometry))),
                yaw_deg=self.yaw_deg,
                mean_views=self.mean_views,
                small_frontals=self.small_frontals,
                seeds=self.seeds,
                cohort=np.array(self.cohort),
            )

    @classmethod
    def load(cls, path: str | Path) -> "Baselines":
        """Read a baselines.npz.

        Raises:
            InputError: the file is missing, truncated or not one of ours.
        """
        what, remedy = "is no usable baselines file", "make it again with evaluate baselines"
        with reading(path, what, remedy):
            stored = read_npz(path, what, remedy)
            if str(stored["format"]) != FORMAT:
                raise ValueError("unknown format")
            arrays = {one.name: stored[one.name] for one in fields(cls) if one.name not in ("geometry", "cohort")}
            cohort = str(stored.get("cohort", ""))
            made = cls(geometry=Geometry(**json.loads(str(stored["geometry"]))), **arrays, cohort=cohort)
            side = made.geometry.size
            if made.mean_views.shape != (len(made.yaw_deg), side, side) or made.mean_views.dtype != np.uint16:
                raise ValueError(f"mean views {made.mean_views.shape} of {side} pixels")
            if made.small_frontals.shape[:1] != made.seeds.shape:
                raise ValueError("not a frontal for each patient")
            return made

    def predictors(self, input_index: int) -> dict[str, Predictor]:
        """The baselines that need no training store; `knn10` only for a frontal input, as only frontals are kept."""
        found: dict[str, Predictor] = {
            "copy_input": CopyInput(len(self.yaw_deg)),
            "mean_view": MeanView(unit_of(self.mean_views)),
        }
        if self.yaw_deg[input_index] == 0 and len(self.seeds) >= NEIGHBOURS:
            found["knn10"] = NearestCases(self.small_frontals, self._rendered_again())
        return found

    def _rendered_again(self) -> Callable[[int], Array]:
        """Training case -> its views, rendered from its seed; kept, because good neighbours recur."""
        from ..phantoms import patient_volume
        from ..projection.render import render

        known: dict[int, Views] = {}

        def views_of(index: int) -> Array:
            if index not in known:
                p = render(patient_volume(int(self.seeds[index])), self.geometry, [float(yaw) for yaw in self.yaw_deg])
                known[index] = np.rint(np.clip(p * SCALE, 0, 65535)).astype(np.uint16)
            return unit_of(known[index])

        return views_of


def load_baselines(path: str | Path | None = None) -> Baselines:
    """A baselines.npz, by default the packaged one."""
    if path is not None:
        return Baselines.load(path)
    with as_file(files("xray2xray") / "weights" / "baselines.npz") as packaged:
        return Baselines.load(packaged)


def baselines_of(source: str | Path) -> Baselines:
    """The baselines of a model: those in its folder; of a model that ships with the package the packaged ones.

    Raises:
        InputError: the model is the user's own and has none: those of another cohort would be no bar for it.
    """
    path = folder_of(source) / FILE
    if path.is_file():
        found = Baselines.load(path)
    elif is_packaged(source):
        found = load_baselines()
    else:
        raise InputError(
            f"the model {source} has no {FILE} of its own cohort to be compared with; make it with `xray2xray evaluate "
            f"baselines --views STORE --source {source} --out {path}`, with the store that it was trained on"
        )
    return replace(found, cohort=cohort_words(found.cohort, source))


def build_baselines(
    store: ViewStore | str | Path, seeds: Sequence[int] | None = None, studies: Sequence[str] | None = None
) -> Baselines:
    """The baselines of a training store, read one patient at a time; saved, about 1 MB for 2,000 patients.

    Args:
        store: every study holds the standard arc.
        seeds: the seed of each study; None takes the `seed` labels, or none where a study has none.
        studies: by default all but those that a table gives to validation or test.

    Raises:
        InputError: there is no study, the number of seeds is not that of studies, or a study lacks a view.
    """
    store = _opened(store)
    studies = store.training_studies() if studies is None else studies
    seeds = seeds_of(store, studies) if seeds is None else seeds
    if seeds and len(studies) != len(seeds):
        raise InputError(f"there are {len(studies)} studies and {len(seeds)} seeds were given; one seed a study")
    frontal = STANDARD_ARC.index(0.0)
    total, small = np.zeros(()), []
    for study in progress(studies, "baselines"):
        views = store.read_standard([study])[0]
        total = total + views.astype(np.float64)
        if seeds:
            small.append(shrink(unit_of(views[None, frontal]))[0])
    return Baselines(
        geometry=store.geometry,
        yaw_deg=np.array(STANDARD_ARC, np.float32),
        mean_views=np.rint(total / len(studies)).astype(np.uint16),
        small_frontals=np.stack(small) if small else np.zeros((0, SMALL, SMALL), np.uint8),
        seeds=np.array(seeds, np.int64),
        cohort=store.words(studies),
    )


def seeds_of(store: ViewStore, studies: Sequence[str]) -> list[int]:
    """The seed of each study, from its labels; none where a study has none, so that its views cannot be made again."""
    seeds = [store.read_labels(study).get("seed") for study in studies]
    found = [seed for seed in seeds if isinstance(seed, int)]
    return found if len(found) == len(seeds) else []


def _mean_of(views: Views) -> Array:
    return np.stack([unit(views[:, a].mean(axis=0, dtype=np.float64) / SCALE) for a in range(views.shape[1])])
