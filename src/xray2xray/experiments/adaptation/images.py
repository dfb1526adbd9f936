"""Real radiographs in two halves, before and after the adapter, some with masks; and rendered frontals."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...core.errors import InputError
from ...data.radiographs import Half, half_of, list_radiographs
from ...data.store import ViewStore
from ...models.adaptation import Adapter
from ...models.outlines import HEART, LUNGS
from ...parallel.progress import progress
from ...projection.geometry import STANDARD_ARC
from ...radiograph import match_quantiles, read_radiograph
from ...radiograph.lung_field import normalise_radiograph, standard_frame

ARMS = ("quantiles", "lung_field", "adapted")
SETS = ("jsrt", "wingspan", "nih")
MASKED = ("jsrt", "wingspan")


@dataclass(frozen=True)
class Entry:
    """A radiograph of one patient: its file, the set it belongs to, and its mask's file where there is one."""

    path: Path
    dataset: str
    patient: str
    mask: Path | None


@dataclass(frozen=True, eq=False)
class Radiographs:
    """`arms` by name, each (n, size, size) p; `masks` (n, size, size) uint8 in the frame of the last two arms: 1 lungs,
    2 heart, nothing where there is no mask; `datasets` (n,)."""

    arms: dict[str, np.ndarray]
    masks: np.ndarray
    datasets: np.ndarray

    @property
    def sets(self) -> list[str]:
        """Names of the sets that are there."""
        return sorted(set(self.datasets.tolist()))

    def of(self, sets: Sequence[str]) -> "Radiographs":
        """Those of some sets."""
        rows = np.isin(self.datasets, sets)
        return Radiographs(
            {arm: views[rows] for arm, views in self.arms.items()}, self.masks[rows], self.datasets[rows]
        )


def list_entries(data: Path, sets: Sequence[str]) -> list[Entry]:
    """One radiograph of each patient of these sets, the first that the tables name.

    Raises:
        InputError: a set has no table.
    """
    found: dict[tuple[str, str], Entry] = {}
    for row in _rows(data / "cxr_ctr" / "labels.csv") if set(sets) & set(MASKED) else ():
        if row["dataset"] in sets:
            path = data / "cxr_ctr" / row["dataset"] / f"{row['id']}.png"
            mask = path.with_name(f"{path.stem}_mask.png")
            found.setdefault((row["dataset"], _patient(path)), Entry(path, row["dataset"], _patient(path), mask))
    for row in _rows(data / "cxr_nih" / "labels.csv") if "nih" in sets else ():
        path = data / "cxr_nih" / row["set"] / row["image"]
        found.setdefault(("nih", _patient(path)), Entry(path, "nih", _patient(path), None))
    return list(found.values())


def load_half(
    entries: Sequence[Entry], half: Half, adapter: Adapter, seed: int, quantiles: np.ndarray, most: int
) -> Radiographs:
    """The half's radiographs that show lungs, `most` of them taken evenly; quantiles is what the verbs match to.

    Raises:
        InputError: there are none.
    """
    chosen = [entry for entry in entries if half_of(entry.patient, seed) == half]
    if len(chosen) > most:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, most).astype(int)]
    size = adapter.size
    found: dict[str, list[np.ndarray]] = {arm: [] for arm in ARMS}
    masks, datasets = [], []
    for entry in progress(chosen, f"{half} half"):
        normalised, field = normalise_radiograph(read_radiograph(entry.path, 2 * size).gray, size)
        if not field.certain:  # the verbs warn, and training leaves such a one out
            continue
        found["quantiles"].append(match_quantiles(read_radiograph(entry.path, size).gray, quantiles))
        found["lung_field"].append(normalised)
        found["adapted"].append(adapter(normalised))
        mask = np.zeros((2 * size, 2 * size), np.uint8) if entry.mask is None else labels(entry.mask)
        masks.append(standard_frame(mask, field, size, nearest=True).astype(np.uint8))
        datasets.append(entry.dataset)
    if not masks:
        raise InputError(f"no radiograph with lungs in the {half} half")
    return Radiographs({name: np.stack(views) for name, views in found.items()}, np.stack(masks), np.array(datasets))


def load_rendered(store: ViewStore, studies: Sequence[str]) -> np.ndarray:
    """Rendered frontals (n, size, size) p."""
    if not studies:
        raise InputError(
            f"{store.folder}: too few studies; the adapter was trained on the first ones, others are needed"
        )
    frontal = STANDARD_ARC.index(0.0)
    return np.stack([store.read_standard([study], np.float32)[0, frontal] for study in progress(studies, "frontals")])


def _patient(path: Path) -> str:
    """Whose a file is, as training lists it: both must deal him to the same half."""
    (file,) = list_radiographs([path])
    return file.patient


def labels(path: Path) -> np.ndarray:
    """A mask of the data set, 1 and 2 lungs and 3 heart, as `LUNGS` and `HEART`."""
    with Image.open(path) as image:
        mask = np.asarray(image)
    return np.where(mask == 3, HEART, np.where(mask > 0, LUNGS, 0)).astype(np.uint8)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path}: no such table; give the folder that holds cxr_ctr and cxr_nih, or fewer --sets")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
