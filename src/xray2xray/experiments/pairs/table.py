"""Real cohorts as they are: a CSV that names, of every study, a few views and the angles they were taken from.

    study,yaw_deg,image[,patient][,split]
    0001,0,0001/frontal.png,p1,train
    0001,90,0001/lateral.png,p1,train

Grey values of real views are no line integrals, and every picture has a contrast of its own: each is standardised (mean
0, SD 1) and nothing else is assumed of them.
"""

import csv
import math
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ...core.errors import InputError

COLUMNS = ("study", "yaw_deg", "image")
TRAIN = "train"  # the part of a study whose row names none


@dataclass(frozen=True)
class PosedStudy:
    """The views of one study: `images` (files) and `yaw_deg`, equally long and at least two."""

    study: str
    patient: str
    split: str
    images: tuple[Path, ...]
    yaw_deg: tuple[float, ...]


@dataclass(frozen=True)
class PosedTable:
    """What a CSV holds: its studies in order of name, and a sentence for each study that was left out."""

    studies: tuple[PosedStudy, ...]
    skipped: tuple[str, ...]

    def part(self, split: str) -> tuple[PosedStudy, ...]:
        """The studies of one part of the split."""
        return tuple(study for study in self.studies if study.split == split)


def read_posed(table: str | Path) -> PosedTable:
    """Read a CSV of posed views; paths in it are relative to it.

    Args:
        table: columns study, yaw_deg (0 PA, 90 left lateral), image (PNG, JPEG, or .npy of shape (h, w)); if wanted
            patient (by default the study) and split (by default train). Other columns are ignored.

    Raises:
        InputError: the table cannot be read or lacks a column, an angle is no number or given twice, a study or a
            patient is in two parts of the split, or no study has two views whose files are there.
    """
    table = Path(table)
    views: dict[str, list[tuple[Path, float]]] = defaultdict(list)
    facts: dict[str, tuple[str, str]] = {}
    lost: dict[str, str] = {}
    for line, row in _rows(table):
        study, yaw_deg, image = _view(table, line, row)
        if not os.path.isfile(image):  # false, not an error, also for a name that is too long
            lost.setdefault(study, f"line {line}: there is no image {image}")
        if any(yaw_deg == other for _, other in views[study]):
            raise InputError(f"{table}, line {line}: study {study} has two views at {yaw_deg:g} degrees")
        views[study].append((image, yaw_deg))
        found = row.get("patient") or study, row.get("split") or TRAIN
        if facts.setdefault(study, found) != found:
            raise InputError(f"{table}, line {line}: study {study} has another patient or split than in a line before")
    _check_patients(table, facts)
    whole = sorted(study for study, seen in views.items() if len(seen) > 1 and study not in lost)
    if not whole and lost:
        raise InputError(f"{table}: no study can be used; {next(iter(lost.values()))}")
    if not whole:
        raise InputError(f"{table}: no study has two views; a transition is learned from at least two of one study")
    skipped = [f"{study}: {lost.get(study, 'one view only')}" for study in sorted(set(views) - set(whole))]
    studies = [PosedStudy(study, *facts[study], *zip(*views[study], strict=True)) for study in whole]
    return PosedTable(tuple(studies), tuple(skipped))


def read_views(study: PosedStudy, size: int) -> np.ndarray:
    """The views of a study, float32 (n, size, size), each of mean 0 and SD 1.

    Raises:
        InputError: a file is no image, damaged or of one grey only.
    """
    return np.stack([standardised(_grey(path), size, path) for path in study.images])


def standardised(grey: np.ndarray, size: int, source: str | Path) -> np.ndarray:
    """Grey values (h, w) resized to (size, size) and brought to mean 0 and SD 1, float32."""
    if grey.ndim != 2 or not grey.size or grey.dtype.kind not in "buif" or not np.isfinite(grey).all():
        raise InputError(f"{source}: expected grey values (h, w), all finite, got {grey.dtype} {grey.shape}")
    image = Image.fromarray(np.ascontiguousarray(grey, np.float32))
    small = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)
    if small.std() < 1e-6:
        raise InputError(f"{source}: all pixels have the same grey; there is nothing to learn from it")
    return (small - small.mean()) / small.std()


def _rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            rows = [(reader.line_num, row) for row in reader]
            lacking = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read as a CSV table ({error})") from None
    if lacking:
        raise InputError(f"{table}: no column {', '.join(lacking)}; posed views need {', '.join(COLUMNS)}")
    return rows


def _view(table: Path, line: int, row: dict[str, str]) -> tuple[str, float, Path]:
    study, text, name = (row[column] for column in COLUMNS)
    if not study or not name:
        raise InputError(f"{table}, line {line}: study or image is empty")
    try:
        yaw_deg = float(text)
    except (TypeError, ValueError):
        yaw_deg = math.nan
    if not math.isfinite(yaw_deg):
        raise InputError(f"{table}, line {line}: yaw_deg {text!r} of study {study} is no number of degrees")
    return study, yaw_deg, table.parent / name


def _check_patients(table: Path, facts: dict[str, tuple[str, str]]) -> None:
    part_of: dict[str, str] = {}
    for patient, split in facts.values():
        if part_of.setdefault(patient, split) != split:
            raise InputError(f"{table}: patient {patient} is in {split} and in {part_of[patient]}; keep each in one")


def _grey(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        with Image.open(path) as image:
            deep = image.mode.startswith(("I", "F"))
            return np.asarray(image if deep else image.convert("L"), np.float32)
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from None
