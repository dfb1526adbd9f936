"""What a world model has to beat: four predictors without a network, and the best of them at each angle.

All share one signature: `predict(inputs)` takes unit views (n, h, w) of the input angle and returns unit views
(n, angles, h, w). `Baselines` is the small file that the package ships, so that all but `ridge_pca` work without the
training cohort: mean views, tiny frontals, and the seeds from which a neighbour's views are rendered again.
"""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError
from ..data.store import SCALE, ViewStore
from ..io.files import atomic_path, progress
from ..projection.geometry import STANDARD_ARC, Geometry
from .metrics import P_MAX, Array, unit

FORMAT = "xray2xray-baselines"
SMALL = 32  # neighbours are found on frontals of 32 x 32 pixels: posture and build, not noise
NEIGHBOURS = 10
COMPONENTS = 200
BODY_P = 0.5  # less than this is air or a couch beside the body, which a radiograph's frame hardly shows
MAX_TRAIN = 4000  # patients held in memory, 1.2 MB each at 128 pixels

Views = NDArray[np.uint16]


class Predictor(Protocol):
    """Anything that turns unit inputs (n, h, w) into unit views (n, angles, h, w), float32."""

    def predict(self, inputs: Array) -> Array: ...


# ---------------------------------------------------------------- the four baselines


@dataclass(frozen=True)
class CopyInput:
    """Every angle looks like the input: what a model gets for doing nothing."""

    angles: int = len(STANDARD_ARC)

    def predict(self, inputs: Array) -> Array:
        return np.repeat(inputs[:, None], self.angles, axis=1)


@dataclass(frozen=True)
class MeanView:
    """Every patient looks like the average one. `views`: unit (angles, h, w)."""

    views: Array

    def predict(self, inputs: Array) -> Array:
        return np.repeat(self.views[None], len(inputs), axis=0)


@dataclass(frozen=True)
class NearestCases:
    """Mean of the views of the `neighbours` training cases whose input view is nearest (Euclidean, 32 x 32 pixels).

    Attributes:
        small: uint8 (n, 32, 32), the training cases' input views as `shrink` makes them.
        views_of: index of a training case -> its unit views (angles, h, w).
    """

    small: NDArray[np.uint8]
    views_of: Callable[[int], Array]
    neighbours: int = NEIGHBOURS

    def nearest(self, inputs: Array) -> NDArray[np.intp]:
        """Indices (n, neighbours) of the nearest training cases, nearest first."""
        train = self.small.reshape(len(self.small), -1).astype(np.float32)
        query = shrink(inputs).reshape(len(inputs), -1).astype(np.float32)
        distance = np.square(query).sum(1)[:, None] - 2 * query @ train.T + np.square(train).sum(1)[None]
        return np.argsort(distance, axis=1, kind="stable")[:, : self.neighbours]

    def predict(self, inputs: Array) -> Array:
        return np.stack([np.mean([self.views_of(int(i)) for i in row], axis=0) for row in self.nearest(inputs)])


@dataclass(frozen=True)
class RidgePCA:
    """Ridge regression from the PCA scores of the input view to every pixel of every angle.

    In the basis of the principal components the normal equations are diagonal, so one penalty or thirteen cost the
    same; all arrays stay float32 and one angle is in memory as floats at a time.

    Attributes:
        mean, basis: (pixels,) and (pixels, k) of the input view.
        weights, offset: (angles, k, pixels) and (angles, pixels).
        penalty: (angles,), chosen on a fifth of the training part, relative to the mean variance of a component.
    """

    mean: Array
    basis: Array
    weights: Array
    offset: Array
    penalty: Array
    shape: tuple[int, int]

    @classmethod
    def fit(cls, views: Views, input_index: int, components: int = COMPONENTS, seed: int = 0) -> "RidgePCA":
        """Fit on training views, uint16 (n, angles, h, w); 2,000 cases at 128 pixels take about a minute on 2 cores."""
        n, angles, height, width = views.shape
        if n < 10:
            raise InputError(f"ridge_pca needs at least 10 training patients, the store holds {n}")
        order = np.random.default_rng(seed).permutation(n)
        held, inner = order[: n // 5], order[n // 5 :]
        inputs = _pixels(views, input_index)
        inner_pca, full_pca = _PCA.fit(inputs[inner], components), _PCA.fit(inputs, components)
        held_scores = inner_pca.scores(inputs[held])
        relative = np.logspace(-4, 2, 13)

        weights = np.empty((angles, full_pca.basis.shape[1], height * width), np.float32)
        offset = np.empty((angles, height * width), np.float32)
        penalty = np.empty(angles)
        for angle in progress(range(angles), "ridge_pca"):
            target = _pixels(views, angle)
            errors = _held_out_errors(inner_pca, held_scores, target[inner], target[held], relative)
            penalty[angle] = relative[np.argmin(errors)]
            offset[angle] = target.mean(axis=0)
            products = full_pca.train_scores.T @ (target - offset[angle])
            weights[angle] = products * full_pca.shrinkage(penalty[angle])[:, None]
        return cls(full_pca.mean, full_pca.basis, weights, offset, penalty, (height, width))

    def predict(self, inputs: Array) -> Array:
        scores = (inputs.reshape(len(inputs), -1) - self.mean) @ self.basis
        flat = np.stack([scores @ w + o for w, o in zip(self.weights, self.offset, strict=True)], axis=1)
        return np.clip(flat, 0, 1).reshape(len(inputs), len(self.weights), *self.shape)


@dataclass(frozen=True)
class _PCA:
    mean: Array
    basis: Array  # (pixels, k), orthonormal columns
    train_scores: Array  # (n, k), orthogonal columns
    variance: Array  # (k,), squared length of each column of train_scores

    @classmethod
    def fit(cls, x: Array, components: int) -> "_PCA":
        mean = x.mean(axis=0)
        centred = x - mean
        # n is far below the number of pixels, so the n x n Gram matrix gives the same components much sooner
        values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
        values, vectors = values[::-1], vectors[:, ::-1]
        k = min(components, int(np.sum(values > 1e-6 * max(values[0], 1e-12))))
        lengths = np.sqrt(values[:k])
        basis = centred.T @ (vectors[:, :k] / lengths).astype(np.float32)
        return cls(mean, basis, (vectors[:, :k] * lengths).astype(np.float32), values[:k].astype(np.float32))

    def scores(self, x: Array) -> Array:
        return (x - self.mean) @ self.basis

    def shrinkage(self, relative_penalty: float) -> Array:
        """(k,): 1 / (variance + penalty), the diagonal inverse of the ridge normal equations."""
        return 1 / (self.variance + np.float32(relative_penalty * self.variance.mean()))


def _held_out_errors(pca: _PCA, held_scores: Array, inner: Array, held: Array, relative: Array) -> Array:
    """Squared error on the held-out cases for each penalty, expanded so that no prediction is ever formed."""
    mean = inner.mean(axis=0)
    products = pca.train_scores.T @ (inner - mean)  # (k, pixels)
    residual = held - mean
    cross = np.einsum("kp,kp->k", held_scores.T @ residual, products)
    gram = (held_scores.T @ held_scores) * (products @ products.T)
    shrinkages = [pca.shrinkage(r) for r in relative]
    return np.array([d @ gram @ d - 2 * d @ cross for d in shrinkages], np.float64)


def best_at_each_angle(psnr: Mapping[str, Array]) -> list[str]:
    """Which baseline has the highest mean PSNR over the cases at each angle, from PSNRs (cases, angles) by name.

    The choice is made on the very cases that are scored, which favours the baselines: the bar is high on purpose.
    """
    names = list(psnr)
    means = np.stack([psnr[name].mean(axis=0) for name in names])
    return [names[i] for i in means.argmax(axis=0)]


def fit_on_store(views: Views, input_index: int) -> dict[str, Predictor]:
    """All four baselines from training views, uint16 counts (n, angles, h, w)."""
    return {
        "copy_input": CopyInput(views.shape[1]),
        "mean_view": MeanView(_mean_of(views)),
        "knn10": NearestCases(shrink(_unit(views[:, input_index])), lambda i: _unit(views[i])),
        "ridge_pca": RidgePCA.fit(views, input_index),
    }


# ---------------------------------------------------------------- the shipped file


@dataclass(frozen=True)
class Baselines:
    """The training cohort in a few hundred kilobytes.

    Attributes:
        geometry: how its views were taken.
        yaw_deg: (angles,) of the mean views.
        mean_views: uint16 counts (angles, h, w), 4096 per unit of p.
        small_frontals: uint8 (n, 32, 32), see `shrink`; `seeds`: int64 (n,), the patients they belong to.
        frontal_quantiles: float32 (256,), p at the quantiles (i + 1/2) / 256 of the training frontals' pixels inside
            the body (p above `BODY_P`), as `radiograph.quantiles.quantiles_of` takes them: what a radiograph is
            matched to.
        error_quantiles: float32 (101,), V's reconstruction error (RMSE, unit scale) of the training frontals at
            0, 1 ... 100 %; empty when V was not known yet.
    """

    geometry: Geometry
    yaw_deg: NDArray[np.float32]
    mean_views: Views
    small_frontals: NDArray[np.uint8]
    seeds: NDArray[np.int64]
    frontal_quantiles: NDArray[np.float32]
    error_quantiles: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

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
                frontal_quantiles=self.frontal_quantiles,
                error_quantiles=self.error_quantiles,
            )

    @classmethod
    def load(cls, path: str | Path) -> "Baselines":
        """Read a baselines.npz.

        Raises:
            InputError: the file is missing, truncated or not one of ours.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                if str(stored["format"]) != FORMAT:
                    raise ValueError("unknown format")
                arrays = {name: stored[name] for name in stored.files if name not in ("format", "geometry")}
                return cls(geometry=Geometry(**json.loads(str(stored["geometry"]))), **arrays)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is no usable baselines file ({error}); install the package again") from None

    def predictors(self, input_index: int) -> dict[str, Predictor]:
        """The baselines that need no training store; `knn10` only for a frontal input, as only frontals are kept."""
        found: dict[str, Predictor] = {
            "copy_input": CopyInput(len(self.yaw_deg)),
            "mean_view": MeanView(_unit(self.mean_views)),
        }
        if self.yaw_deg[input_index] == 0 and len(self.seeds) >= NEIGHBOURS:
            found["knn10"] = NearestCases(self.small_frontals, self._rendered_again())
        return found

    def _rendered_again(self) -> Callable[[int], Array]:
        """Training case -> its views, rendered from its seed; remembered, as good neighbours are asked for often."""
        from ..phantoms import patient_volume
        from ..projection.render import render

        known: dict[int, Views] = {}

        def views_of(index: int) -> Array:
            if index not in known:
                p = render(patient_volume(int(self.seeds[index])), self.geometry, [float(yaw) for yaw in self.yaw_deg])
                known[index] = np.rint(np.clip(p * SCALE, 0, 65535)).astype(np.uint16)
            return _unit(known[index])

        return views_of


def build_baselines(
    store: ViewStore | str | Path,
    seeds: Sequence[int] | None,
    out: str | Path,
    error_quantiles: Sequence[float] | Array = (),
) -> Baselines:
    """Write baselines.npz from a training store, one patient at a time; about 1 MB for 2,000 patients.

    Args:
        store: every study holds the standard arc.
        seeds: the seed of each of `store.studies()`, in that order; None takes the `seed` label of each study.
        error_quantiles: see `Baselines.error_quantiles`.

    Raises:
        InputError: the number of seeds is not the number of studies, or a study lacks a view.
    """
    store = store if isinstance(store, ViewStore) else ViewStore.open(Path(store))
    studies = store.studies()
    if seeds is None:
        seeds = seeds_of(store)
    if len(studies) != len(seeds) or not studies:
        raise InputError(f"the store holds {len(studies)} studies and {len(seeds)} seeds were given; one seed a study")
    frontal = STANDARD_ARC.index(0.0)
    total, small, counts = 0.0, [], np.zeros(65536, np.int64)
    for study in progress(studies, "baselines"):
        views = store.read_standard([study])[0]
        total = total + views.astype(np.float64)
        small.append(shrink(_unit(views[None, frontal]))[0])
        counts += np.bincount(views[frontal].ravel(), minlength=65536)
    result = Baselines(
        geometry=store.geometry,
        yaw_deg=np.array(STANDARD_ARC, np.float32),
        mean_views=np.rint(total / len(studies)).astype(np.uint16),
        small_frontals=np.stack(small),
        seeds=np.array(seeds, np.int64),
        frontal_quantiles=_body_quantiles(counts, 256),
        error_quantiles=np.array(error_quantiles, np.float32),
    )
    result.save(out)
    return result


def seeds_of(store: ViewStore) -> list[int]:
    """The seed of each of `store.studies()`, from its labels.

    Raises:
        InputError: a study has none, so its views could not be rendered again.
    """
    seeds = []
    for study in store.studies():
        seed = store.read(study).labels.get("seed")
        if not isinstance(seed, int):
            raise InputError(f"{store.path(study)} has no seed in its labels; use a store made with --procedural")
        seeds.append(seed)
    return seeds


def training_views(store: ViewStore | str | Path, limit: int = MAX_TRAIN) -> Views:
    """The standard arc of a store's patients, uint16 (n, 37, h, w); of more than `limit`, evenly spaced ones."""
    store = store if isinstance(store, ViewStore) else ViewStore.open(Path(store))
    studies = store.studies()
    if not studies:
        raise InputError("the training store is empty; render some patients into it first")
    chosen = np.unique(np.linspace(0, len(studies) - 1, min(limit, len(studies))).round().astype(int))
    return store.read_standard([studies[i] for i in chosen], dtype=np.uint16)


def shrink(images: Array, size: int = SMALL) -> NDArray[np.uint8]:
    """Unit images (n, h, w) -> uint8 (n, size, size): mean over the area of each coarse pixel, 255 = p of 10."""
    rows, columns = (_area_weights(length, size) for length in images.shape[-2:])
    return np.rint(255 * (rows @ images @ columns.T)).astype(np.uint8)


def _area_weights(length: int, size: int) -> Array:
    """(size, length): which share of a coarse pixel each fine pixel covers; works for any two sizes."""
    edges = np.arange(length + 1) * (size / length)
    coarse = np.arange(size)[:, None]
    return np.clip(np.minimum(edges[1:], coarse + 1) - np.maximum(edges[:-1], coarse), 0, None).astype(np.float32)


def _body_quantiles(counts: NDArray[np.int64], levels: int) -> NDArray[np.float32]:
    """p at the quantiles (i + 1/2) / levels of those pixels of a histogram of uint16 counts that are above `BODY_P`."""
    below = np.cumsum(np.where(np.arange(len(counts)) > BODY_P * SCALE, counts, 0))
    wanted = (np.arange(levels) + 0.5) / levels * (below[-1] - 1) + 1
    return (np.searchsorted(below, wanted) / SCALE).astype(np.float32)


def _unit(counts: Views) -> Array:
    """uint16 counts of 4096 p -> unit float32."""
    return np.minimum(counts.astype(np.float32) * np.float32(1 / (SCALE * P_MAX)), np.float32(1))


def _pixels(views: Views, angle: int) -> Array:
    """One angle of all cases as float32 rows (n, pixels)."""
    return _unit(views[:, angle]).reshape(len(views), -1)


def _mean_of(views: Views) -> Array:
    return np.stack([unit(views[:, a].mean(axis=0, dtype=np.float64) / SCALE) for a in range(views.shape[1])])
