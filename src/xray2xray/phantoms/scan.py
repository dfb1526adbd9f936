"""How a patient is scanned: posture, contrast, couch, noise, slice thickness, and where the scan ends.

All shares and ranges are chosen, after no source. Blood without contrast agent is 45 to 65 HU in tables, 42 +- 6 here.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from .tissues import AIR, COUCH


@dataclass(frozen=True)
class Scan:
    """Lengths in mm, HU where named so."""

    supine: bool
    arms_up: bool
    blood_hu: float  # enhanced or not
    above_mm: float  # how far beyond the apices the scan goes; negative cuts them
    below_mm: float  # and beyond the deepest sulcus
    field_of_view_mm: float  # radius of the scanned circle
    field_shift_mm: tuple[float, float]
    couch: bool
    noise_hu: float


def sample_scan(rng: np.random.Generator) -> Scan:
    """Draw an examination; three in four are CT, lying, the others stand as for a radiograph."""
    supine = bool(rng.random() < 0.75)

    def normal(mean: float, sd: float, low: float, high: float) -> float:
        return float(np.clip(rng.normal(mean, sd), low, high))

    return Scan(
        supine=supine,
        arms_up=bool(rng.random() < (0.93 if supine else 0.1)),
        blood_hu=float(rng.uniform(120, 320)) if rng.random() < 0.35 else normal(42, 6, 28, 58),
        above_mm=normal(24, 15, -25, 60),
        below_mm=float(rng.uniform(-25, 35) if rng.random() < 0.75 else rng.uniform(35, 130)),
        field_of_view_mm=float(rng.uniform(150, 192)) if rng.random() < 0.5 else 260.0,
        field_shift_mm=(normal(0, 8, -20, 20), normal(0, 10, -25, 25)),
        couch=bool(rng.random() < 0.7) and supine,
        noise_hu=float(rng.uniform(4, 28)),
    )


def acquire(
    hu: np.ndarray,
    tissue: np.ndarray,
    scan: Scan,
    lungs_mm: tuple[float, float],
    voxel: float,
    rng: np.random.Generator,
) -> None:
    """What a scanner does to a body, in place: couch, noise, thick slices, a limited circle and a limited range.

    `lungs_mm`: heights of the deepest sulcus and of the apices.
    """
    n = hu.shape[0]
    mm = (np.arange(n) - (n - 1) / 2) * voxel
    x, y = mm[:, None], mm[None, :]
    if scan.couch:
        back = np.flatnonzero((tissue != AIR).any(axis=(0, 2)))
        top = mm[back[0]] - 3.0 if len(back) else mm[0]
        sag = rng.uniform(2e-4, 9e-4)
        surface = top - 14.0 + sag * x**2
        depth = surface - y
        board = np.clip(0.5 + (1.8 - np.abs(depth)) / voxel, 0, 1) * rng.uniform(250, 500)
        foam = ((depth > 0) & (depth < 22)) * rng.uniform(10, 60)
        padding = ((depth < 0) & (y < top)) * rng.uniform(0, 60)
        add = (board + foam + padding).astype(np.float32)
        empty = tissue == AIR
        hu += np.where(empty, add[:, :, None], 0)
        tissue[empty & (board > 100)[:, :, None]] = COUCH
    hu += rng.standard_normal(hu.shape, dtype=np.float32) * np.float32(scan.noise_hu)
    if rng.random() < 0.3:
        hu[:] = gaussian_filter(hu, (0, 0, rng.uniform(0.4, 1.1)))  # thick slices
    circle = (x - scan.field_shift_mm[0]) ** 2 + (y - scan.field_shift_mm[1]) ** 2 > scan.field_of_view_mm**2
    outside = np.broadcast_to(circle[:, :, None], hu.shape).copy()
    outside |= (mm > lungs_mm[1] + scan.above_mm) | (mm < lungs_mm[0] - scan.below_mm)
    hu[outside] = -1000.0
    tissue[outside] = AIR
    np.clip(hu, -1000.0, 3071.0, out=hu)
