"""The pictures that the gate learns from and is tested on, each (64, 64) float32 of grey values, dense bright."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...core.errors import InputError
from ...core.seeds import Split, deal
from ...data.radiographs import half_of
from ...data.store import ViewStore
from ...radiograph.display import radiograph
from ...radiograph.picture import resized_square
from ...radiograph.read import read_radiograph

SIZE = 64
SEED = 0  # of Wingspan's halves, as the packaged adapter has them
OFF_DEG = 45.0  # a view turned by this or more is no frontal


@dataclass(frozen=True, eq=False)
class Radiographs:
    """Real frontals (n, 64, 64), whose they are (n,), and whether they are AP: 1, 0, or -1 where nobody says (n,)."""

    gray: np.ndarray
    patients: np.ndarray
    ap: np.ndarray

    def __add__(self, other: "Radiographs") -> "Radiographs":
        both = ((getattr(self, name), getattr(other, name)) for name in ("gray", "patients", "ap"))
        return Radiographs(*(np.concatenate(pair) for pair in both))


def nih(data: Path, splits: Sequence[Split]) -> Radiographs:
    """ChestX-ray14 of the patients that a hash deals to these splits."""
    rows = _nih_rows(data, splits)
    return Radiographs(
        _read(_nih_path(data, row) for row in rows),
        np.array([f"nih {row['patient']}" for row in rows]),
        np.array([int(row["view"] == "AP") for row in rows]),
    )


def nih_paths(data: Path, splits: Sequence[Split]) -> dict[str, Path]:
    """The file of one radiograph of each of these patients, the largest."""
    rows = sorted(_nih_rows(data, splits), key=lambda row: row["set"], reverse=True)  # nih64 first, nih256 replaces it
    return {row["patient"]: _nih_path(data, row) for row in rows}


def wingspan(data: Path, half: str) -> Radiographs:
    """The half of Wingspan that may be learned from (`first`), or the other one."""
    paths = wingspan_paths(data, half)
    return Radiographs(_read(paths), np.array([path.stem for path in paths]), np.full(len(paths), -1))


def wingspan_paths(data: Path, half: str) -> list[Path]:
    """Their files."""
    rows = [row["id"] for row in _rows(data / "cxr_ctr" / "labels.csv") if row["dataset"] == "wingspan"]
    kept = [name for name in rows if half_of(name.split("_")[0], SEED) == half]
    return [data / "cxr_ctr" / "wingspan" / f"{name}.png" for name in kept]


def _nih_rows(data: Path, splits: Sequence[Split]) -> list[dict[str, str]]:
    rows = _rows(data / "cxr_nih" / "labels.csv")
    return [row for row in rows if deal(f"nih {row['patient']}") in splits]


def _nih_path(data: Path, row: dict[str, str]) -> Path:
    return data / "cxr_nih" / row["set"] / row["image"]


def jsrt(data: Path) -> Radiographs:
    """All of JSRT: PA films. Nothing learns from them."""
    names = [row["id"] for row in _rows(data / "cxr_ctr" / "labels.csv") if row["dataset"] == "jsrt"]
    paths = (data / "cxr_ctr" / "jsrt" / f"{name}.png" for name in names)
    return Radiographs(_read(paths), np.array(names), np.zeros(len(names), int))


def masks(data: Path, dataset: str, half: str | None = None) -> np.ndarray:
    """The segmentations of JSRT or Wingspan, (n, 64, 64), grey values as they are."""
    rows = [row["id"] for row in _rows(data / "cxr_ctr" / "labels.csv") if row["dataset"] == dataset]
    kept = [name for name in rows if half is None or half_of(name.split("_")[0], SEED) == half]
    found = []
    for name in kept:
        with Image.open(data / "cxr_ctr" / dataset / f"{name}_mask.png") as image:
            found.append(resized_square(_middle(np.asarray(image.convert("L"), np.float32)), SIZE))
    return np.stack(found)


def stored(views: Path, frontal: bool) -> np.ndarray:
    """The frontals of a view store, or its laterals and obliques, as a radiologist sees them, (n, 64, 64)."""
    store, found = ViewStore.open(views), []
    for study in store.studies():
        kept = store.read(study)
        yaw = np.abs(kept.yaw_deg)
        chosen = yaw <= 10 if frontal else (yaw >= OFF_DEG) & (yaw <= 180 - OFF_DEG)
        shown = radiograph(kept.views_p[chosen]).astype(np.float32) / 255
        found += [resized_square(one, SIZE) for one in shown]
    return np.stack(found)


def photographs(folder: Path) -> dict[str, np.ndarray]:
    """Every picture of a folder as grey values, by name."""
    found = {}
    for path in sorted(folder.iterdir()):
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("L"), np.float32)
        except OSError:
            continue
        if min(pixels.shape) >= SIZE and np.ptp(pixels) > 0:
            found[path.name] = resized_square(_middle(pixels), SIZE)
    return found


def slices(scans: Iterable[Path], each: int = 4) -> np.ndarray:
    """Axial slices of CTs in a window of soft tissue, (n, 64, 64): a part of a scan taken for a radiograph."""
    from ...volume.read import read_volume

    found = []
    for path in scans:
        hu = read_volume(path).hu
        for at in np.linspace(0.2, 0.8, each):
            cut = np.clip((np.asarray(hu[:, :, int(at * hu.shape[2])], np.float32).T[::-1] + 1000) / 1400, 0, 1)
            found.append(resized_square(_middle(cut), SIZE))
    return np.stack(found)


def _read(paths: Iterable[Path]) -> np.ndarray:
    return np.stack([read_radiograph(path, SIZE).gray for path in paths])


def _middle(pixels: np.ndarray) -> np.ndarray:
    side = min(pixels.shape)
    top, left = ((length - side) // 2 for length in pixels.shape)
    return pixels[top : top + side, left : left + side]


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path}: no such table; give the folder that holds cxr_ctr and cxr_nih")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
