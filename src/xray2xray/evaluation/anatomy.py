"""Anatomy measured on views: four numbers a radiologist would read, taken the same way from truth and prediction.

Line integrals are absolute, so that thresholds are: lung is thin, soft tissue thick. All lengths are at the isocentre.
How well each follows the anatomy itself stands in docs/results/uncertainty.md.
Row 0 is superior, and the middle row is the height halfway up the lungs (`volume.isocentre_mm`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_fill_holes,
    binary_opening,
    distance_transform_edt,
    gaussian_filter,
    gaussian_filter1d,
    label,
)

from ..projection.geometry import Geometry
from .metrics import Array

BODY_P = 1.0  # 5 cm of water: skin is thinner at its edge, and couches are
BAND_MM = 20.0  # above and below the middle, over which a width is averaged
RIM_MM = 25.0  # chest wall, where skin is as thin as lung
RISEN = 0.35
HEART_P = 0.8
FIELD = 0.25  # of the way from lung to abdomen
FIELD_MM = 15.0
VALLEY_P = 0.1  # a lung is so much thinner than the walls on its left and right
WALL_MM = 40.0


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
    """Height of the dome over the middle row (negative: below).

    Going down from the thinnest row, it is where p has risen by a third of the way to the thickest one. p of a row is
    that of its thin part, the 30th percentile of the body without a fifth on either side, which is lung where there is
    any.
    """
    mm, middle = geometry.field_mm / geometry.size, (geometry.size - 1) / 2
    profile = gaussian_filter1d([_thin_part(row) for row in view_p], 4.0 / mm)
    first = round(middle - 40 / mm)
    thinnest = first + int(np.argmin(profile[first : round(middle + 25 / mm)]))
    end = int(np.flatnonzero(profile > BODY_P)[-1:].sum()) - 1  # the scan's, where p falls again
    below = profile[thinnest : max(end, thinnest + 2)]
    wanted = below[0] + RISEN * (below.max() - below[0])
    at = int(np.argmax(below >= wanted))
    between = (below[at] - wanted) / max(below[at] - below[at - 1], 1e-12) if at else 0.0  # of two rows
    return mm * float(middle - thinnest - at + between)


def lung_area_cm2(view_p: Array, geometry: Geometry) -> float:
    """Area of `lung_mask`."""
    mm = geometry.field_mm / geometry.size
    return float(np.count_nonzero(lung_mask(view_p, geometry))) * mm**2 / 100


def lung_mask(view_p: Array, geometry: Geometry, share: float = 0.5) -> NDArray[np.bool_]:
    """Where, at least 25 mm inside the outline of the body, p is nearer to lung than to abdomen; (h, w).

    Lung is the lower fifth of what lies about the middle of the picture, abdomen the thickest twentieth of the body.

    Args:
        share: how far from lung to abdomen p may be.
    """
    mm = geometry.field_mm / geometry.size
    body = binary_fill_holes(view_p > BODY_P)
    if not body.any():
        return np.zeros(view_p.shape, bool)
    lung = np.percentile(view_p[_about_the_middle(geometry.size)], 20)
    inner = distance_transform_edt(body) * mm > RIM_MM
    return np.asarray(inner & (view_p < lung + share * (np.percentile(view_p[body], 95) - lung)), bool)


def lung_field(view_p: Array, geometry: Geometry, frontal: bool) -> NDArray[np.bool_]:
    """The lungs as a shape with a clean outline, on a frontal or a lateral; bool (h, w), empty where none are found.

    It is what is distinctly thin (`lung_mask` with a share of `FIELD`) without the slope from either side of the
    picture up to the chest wall: shoulders and flanks are thin, too, but going inwards p only rises there. On a lateral
    the wall may hide before the heart, so the slope counts within `WALL_MM` of the body's outline only. What is
    narrower than 15 mm is left out, what does not reach into the middle of the picture too, and holes are filled.
    """
    mm = geometry.field_mm / geometry.size
    smooth = gaussian_filter(view_p, 1.0)
    from_left, from_right = (np.maximum.accumulate(side, axis=1) for side in (smooth, smooth[:, ::-1]))
    slope = np.minimum(from_left, from_right[:, ::-1]) - smooth < VALLEY_P
    if not frontal:
        slope &= distance_transform_edt(binary_fill_holes(view_p > BODY_P)) * mm < WALL_MM
    reach = FIELD_MM / 2 / mm
    steps = np.arange(-int(reach), int(reach) + 1)
    disc = steps[:, None] ** 2 + steps**2 <= reach**2
    parts, _ = label(binary_opening(lung_mask(view_p, geometry, FIELD) & ~slope, disc))
    kept = np.unique(parts[_about_the_middle(geometry.size)])
    return np.asarray(binary_fill_holes(np.isin(parts, kept[kept > 0])), bool)


def heart_width_mm(view_p: Array, geometry: Geometry) -> float:
    """Breadth of what is thick between the lungs, 8 to 60 mm over the dome: how far it reaches to the left and to the
    right of the thickest column, in three of four rows at most, as a cardiothoracic ratio is read.

    It ends where p is less than 4 cm of water over the lung of that side and row.
    """
    mm = geometry.field_mm / geometry.size
    row = round((geometry.size - 1) / 2 - diaphragm_mm(view_p, geometry) / mm)
    band = gaussian_filter(view_p, 1.0)[max(0, row - round(60 / mm)) : max(1, row - round(8 / mm))]
    columns = np.flatnonzero((band > BODY_P).all(axis=0))
    if len(columns) < 12:
        return 0.0
    inner = columns[len(columns) // 6 : -(len(columns) // 6)]  # without the chest wall
    centre = inner[len(inner) // 4 : -(len(inner) // 4)]
    peak = centre[int(np.argmax(np.median(band[:, centre], axis=0)))]
    reach = 0.0
    for side in (inner[inner >= peak], inner[inner <= peak][::-1]):
        thin = band[:, side] < np.percentile(band[:, side], 15, axis=1)[:, None] + HEART_P
        ends = np.where(thin.any(axis=1), thin.argmax(axis=1), len(side))
        reach += float(np.percentile(ends, 75))
    return mm * max(reach - 1, 0.0)  # the thickest column is on both sides


ENDPOINTS = {
    "heart_width": Endpoint("heart width", "mm", 30.0, heart_width_mm),
    "lung_area": Endpoint("lung area", "cm2", 90.0, lung_area_cm2),
    "ap_diameter": Endpoint("AP diameter", "mm", 90.0, body_width_mm),
    "diaphragm_height": Endpoint("diaphragm height", "mm", 90.0, diaphragm_mm),
}


def _about_the_middle(size: int) -> tuple[slice, slice]:
    """The sixth of the picture's height over its middle row, a third of its width."""
    return slice(size // 3, size // 2), slice(size // 3, 2 * (size // 3))


def _thin_part(row_p: Array) -> float:
    body = row_p[row_p > BODY_P]
    fifth = len(body) // 5
    return float(np.percentile(body[fifth : len(body) - fifth], 30)) if len(body) > 5 else 0.0


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
