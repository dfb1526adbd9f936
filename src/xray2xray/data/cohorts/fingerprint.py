"""Is this the same picture? By the file's bytes, and by what is seen: a difference hash.

The hash says for 16 x 16 places of the picture whether grey rises to the right and downwards (Krawetz's dHash, both
ways): 512 bits, of which two pictures differ in some. Measured on ChestX-ray14, as `read_radiograph` reads it: pictures
of different patients differ in 173 bits on average and in 70 at least (221,810 pairs at 64 pixels; 85 of 2,309 at 256
pixels), pictures of one patient in 43 at least. A copy with other grey values, inverted, enlarged or halved, differs in
at most 11; as JPEG of quality 50 in at most 13 at 256 pixels (at 64, 97 % are within `NEAR`). A copy cropped by 2 % on
each side differs in 43 at the median: it is not found.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...core.errors import InputError
from ...io.files import files_below
from ...radiograph.read import read_radiograph
from .studies import first_files
from .table import FRONTAL, Sample

PLACES = 16
NEAR = 32  # bits of 512: at most this many make a near-duplicate
_ROWS = 4096  # pictures compared at once


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """SHA-256 of the file (of a CT's first file), and the bits (512,) of a frontal; None of a lateral or a CT."""

    sha256: str
    bits: np.ndarray | None


def fingerprint(sample: Sample) -> Fingerprint | str:
    """The fingerprint of a sample, or what is wrong with its file."""
    try:
        if sample.view == "CT":
            return Fingerprint(_sha256(_first_file(sample)), None)
        bits = difference_hash(sample.path) if sample.view in FRONTAL else None
        return Fingerprint(_sha256(sample.path), bits)
    except (InputError, OSError) as error:
        return " ".join(str(error).split())


def difference_hash(path: str | Path) -> np.ndarray:
    """bool (512,): is the next place to the right, and below, brighter?

    Raises:
        InputError: as `read_radiograph`.
    """
    return hash_bits(read_radiograph(path, 64).gray)


def hash_bits(gray: np.ndarray) -> np.ndarray:
    """The same of grey values (h, h)."""
    image = Image.fromarray(gray)
    small = np.asarray(image.resize((PLACES + 1, PLACES + 1), Image.Resampling.BOX), np.float32)
    right, below = np.diff(small, axis=1)[:-1] > 0, np.diff(small, axis=0)[:, :-1] > 0
    return np.concatenate([right.ravel(), below.ravel()])


def near_pairs(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    """Which rows of (n, 512) and (m, 512) are near-duplicates, as pairs of row numbers."""
    pairs: list[tuple[int, int]] = []
    b = second.astype(np.float32)
    for start in range(0, len(first), _ROWS):
        a = first[start : start + _ROWS].astype(np.float32)
        distance = a.sum(1)[:, None] + b.sum(1)[None] - 2 * a @ b.T  # Hamming, exact in float32
        pairs += [(start + int(i), int(j)) for i, j in np.argwhere(distance <= NEAR)]
    return pairs


def _first_file(sample: Sample) -> Path:
    if sample.path.is_file():
        return sample.path
    if sample.series:
        first = first_files(sample.path).get(sample.series)
        if first is None:
            raise InputError(f"{sample.path}: no series {sample.series} inside; correct the column series")
        return first
    first = next(files_below(sample.path), None)
    if first is None:
        raise InputError(f"{sample.path}: the folder is empty")
    return first


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
