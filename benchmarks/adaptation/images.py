"""JSRT and Wingspan radiographs with their masks in two halves, before and after the adapter, and rendered frontals."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from xray2xray.adaptation import Adapter
from xray2xray.data.radiographs import Half, half_of
from xray2xray.data.store import ViewStore
from xray2xray.errors import InputError
from xray2xray.files import progress
from xray2xray.projection.geometry import STANDARD_ARC
from xray2xray.radiograph import match_quantiles, read_radiograph
from xray2xray.radiograph.lung_field import normalise_radiograph, standard_frame

ARMS = ("quantiles", "lung_field", "adapted")
LUNGS, HEART = 1, 2


@dataclass(frozen=True, eq=False)
class Radiographs:
    """`arms` by name, each (n, size, size) p; `masks` (n, size, size) uint8 in the frame of the last two arms: 1 lungs,
    2 heart."""

    arms: dict[str, np.ndarray]
    masks: np.ndarray
    datasets: tuple[str, ...]


def load_half(data: Path, half: Half, adapter: Adapter, seed: int, quantiles: np.ndarray, most: int) -> Radiographs:
    """The half's first `most` radiographs in the table's order taken evenly; quantiles is what the verbs match to."""
    with (data / "labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if half_of(row["id"], seed) == half]
    if len(rows) > most:
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, most).astype(int)]
    size = adapter.size
    found: dict[str, list[np.ndarray]] = {arm: [] for arm in ARMS}
    masks = []
    for row in progress(rows, f"{half} half"):
        path = data / row["dataset"] / f"{row['id']}.png"
        normalised, field = normalise_radiograph(read_radiograph(path, 2 * size).gray, size)
        found["quantiles"].append(match_quantiles(read_radiograph(path, size).gray, quantiles))
        found["lung_field"].append(normalised)
        found["adapted"].append(adapter(normalised))
        with Image.open(path.with_name(f"{row['id']}_mask.png")) as image:
            mask = np.asarray(image)
        mask = np.where(mask == 3, HEART, np.where(mask > 0, LUNGS, 0))
        masks.append(standard_frame(mask, field, size, nearest=True).astype(np.uint8))
    arms = {name: np.stack(views) for name, views in found.items()}
    return Radiographs(arms, np.stack(masks), tuple(row["dataset"] for row in rows))


def load_rendered(store: ViewStore, studies: Sequence[str]) -> np.ndarray:
    """Rendered frontals (n, size, size) p."""
    if not studies:
        raise InputError(
            f"{store.folder}: too few studies; the adapter was trained on the first ones, others are needed"
        )
    frontal = STANDARD_ARC.index(0.0)
    return np.stack([store.read_standard([study], np.float32)[0, frontal] for study in progress(studies, "frontals")])
