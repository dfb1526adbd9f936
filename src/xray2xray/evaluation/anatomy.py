"""Anatomy measured on views: four numbers a radiologist would read, taken the same way from truth and prediction.

Line integrals are absolute, so that thresholds are: lung is thin, soft tissue thick. All lengths are at the isocentre.
Row 0 is superior, and the middle row is the height halfway up the lungs (`volume.isocentre_mm`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, label

from ..projection.geometry import Geometry
from .metrics import Array

BODY_P = 1.0  # 5 cm of water: skin is thinner at its edge, and couches are
BAND_MM = 20.0  # above and below the middle, over which a width is averaged
ABOVE_MM = (10.0, 40.0)  # over the diaphragm, where the heart is measured


@dataclass(frozen=True)
class Endpoint:
    """What is measured, in which unit, on the view from which angle."""

    words: str
    unit: str
    yaw_deg: float
    measure: Callable[[Array, Geometry], float]


def body_width_mm(view_p: Array, geometry: Geometry) -> float:
    """Breadth of the body halfway up the lungs; at 90 degrees its anteroposterior diameter."""
    mm = geometry.field_mm / geometry.size
    middle, reach = (geometry.size - 1) / 2, BAND_MM / mm
    rows = range(int(np.ceil(middle - reach)), int(np.floor(middle + reach)) + 1)
    return mm * float(np.mean([_width(view_p[row]) for row in rows]))


def diaphragm_mm(view_p: Array, geometry: Geometry) -> float:
    """Height of the domes over the middle row (negative: below): where p, going down, rises most steeply.

    p of a row is that of its thin parts (the 30th percentile inside the body), which are lung as long as there is any.
    """
    mm = geometry.field_mm / geometry.size
    profile = np.array([np.percentile(row[row > BODY_P], 30) if (row > BODY_P).any() else 0.0 for row in view_p])
    rise = np.gradient(gaussian_filter1d(profile, 6.0 / mm))
    middle = (geometry.size - 1) / 2
    first = int(middle) + 1
    lowest = max(first + 3, int(np.flatnonzero((view_p > BODY_P).any(axis=1))[-1:].sum()) - int(20 / mm))
    below = rise[first:lowest]
    at = int(np.argmax(below))
    shift = 0.0
    if 0 < at < len(below) - 1:  # the parabola through the highest three
        left, top, right = below[at - 1 : at + 2]
        shift = 0.5 * (left - right) / min(left - 2 * top + right, -1e-12)
    return mm * float(middle - (first + at + shift))


def lung_area_cm2(view_p: Array, geometry: Geometry) -> float:
    """Area inside the body and above the diaphragm where p is nearer to lung than to abdomen."""
    mm = geometry.field_mm / geometry.size
    row, body, thick = _levels(view_p, geometry)
    field = body[:row] & (view_p[:row] < thick)
    parts, _ = label(field)
    sizes = np.bincount(parts.ravel())[1:]
    # skin is thin, too, but lungs are the largest thin parts
    return float(sizes[sizes > 0.2 * sizes.max()].sum()) * mm**2 / 100 if sizes.size else 0.0


def heart_width_mm(view_p: Array, geometry: Geometry) -> float:
    """Breadth of what is thick between the lungs, 10 to 40 mm over the diaphragm: heart, and spine where it overlaps.

    Its edges are where p is halfway from the lung to the thickest part.
    """
    mm = geometry.field_mm / geometry.size
    row, body, _ = _levels(view_p, geometry)
    band = slice(max(0, row - round(ABOVE_MM[1] / mm)), max(1, row - round(ABOVE_MM[0] / mm)))
    profile = np.median(view_p[band], axis=0)
    columns = np.flatnonzero(body[band].all(axis=0))
    if len(columns) < 8:
        return 0.0
    inner = columns[len(columns) // 5 : -(len(columns) // 5)]  # without the chest wall
    peak = inner[int(np.argmax(profile[inner]))]
    halfway = (np.percentile(profile[inner], 10) + profile[peak]) / 2
    return mm * _run(profile, int(peak), float(halfway))


ENDPOINTS = {
    "heart_width": Endpoint("heart width", "mm", 30.0, heart_width_mm),
    "lung_area": Endpoint("lung area", "cm2", 90.0, lung_area_cm2),
    "ap_diameter": Endpoint("AP diameter", "mm", 90.0, body_width_mm),
    "diaphragm_height": Endpoint("diaphragm height", "mm", 90.0, diaphragm_mm),
}


def _levels(view_p: Array, geometry: Geometry) -> tuple[int, np.ndarray, float]:
    """The diaphragm's row, the body, and p halfway between the lungs' and the abdomen's."""
    mm = geometry.field_mm / geometry.size
    third = geometry.size // 3
    row = round((geometry.size - 1) / 2 - diaphragm_mm(view_p, geometry) / mm)
    row = int(np.clip(row, third + 1, geometry.size - 3))
    body, columns = view_p > BODY_P, slice(third, geometry.size - third)
    lung = np.percentile(view_p[third:row, columns], 20)
    abdomen = np.percentile(view_p[row + 2 :, columns], 80)
    return row, body, float(lung + abdomen) / 2


def _width(row_p: Array) -> float:
    """Pixels of the widest part of a row over `BODY_P`, its ends between two pixels where p crosses it."""
    parts, count = label(row_p > BODY_P)
    if not count:
        return 0.0
    widest = int(np.argmax(np.bincount(parts)[1:])) + 1
    inside = np.flatnonzero(parts == widest)
    return _run(row_p, int(inside[len(inside) // 2]), BODY_P)


def _run(profile: Array, start: int, threshold: float) -> float:
    """How far, in pixels, a profile stays over a threshold on both sides of `start`; linear between pixels."""
    length = 0.0
    for values in (profile[start:], profile[start::-1]):
        below = np.flatnonzero(values <= threshold)
        if not len(below):
            length += len(values) - 0.5
        elif below[0] > 0:
            at = int(below[0])
            length += at - 1 + (values[at - 1] - threshold) / max(values[at - 1] - values[at], 1e-12)
    return float(length)
