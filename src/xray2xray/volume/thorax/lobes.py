"""The five lobes: an oblique fissure in each lung, a horizontal one in the right.

Surface anatomy (Standring, Gray's Anatomy, 41st ed., ch. 54; Felson, Chest Roentgenology, ch. 3): the oblique fissure
begins behind at the level of T4 and ends in front at the diaphragm, near the sixth costochondral junction; the
horizontal fissure lies at the fourth anterior rib and meets the hilum. Where they go in lobar collapse: Woodring and
Reed, J Thorac Imaging 11:109 (1996). A lobe that loses air draws its fissures in, least at the hilum, which anchors it.

All lengths in mm of the canonical frame (x to the patient's right, y anterior, z superior).
"""

from typing import NamedTuple

import numpy as np

LOBES = ("right_upper", "right_middle", "right_lower", "left_upper", "left_lower")  # lobe index - 1
_SHIFT_MM = 52.0  # a fissure's way at the flank in complete collapse


class Fissures(NamedTuple):
    """Heights of the fissures over (x, y); `lobe` and `collapse` say which lobe has drawn them in, and how far."""

    midline: float
    back_y: float
    back_z: float  # height of the oblique fissures at `back_y`
    front_y: float
    front_z: float  # and at `front_y`
    horizontal_z: float  # at the hilum
    horizontal_tilt: float  # fall towards the flank, mm a mm
    lobe: str
    collapse: float


def side_of(lobe: str) -> int:
    """+1 for a lobe of the right lung, -1 for one of the left."""
    return 1 if lobe.startswith("right") else -1


def lobes(points: np.ndarray, side: np.ndarray, fissures: Fissures) -> np.ndarray:
    """Lobe of each point.

    Args:
        points: (n, 3) canonical mm.
        side: (n,) +1 in the right lung, -1 in the left, 0 outside.
        fissures: where they run.

    Returns:
        (n,) uint8, 0 outside the lungs, else 1 + the position in `LOBES`.
    """
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    f = fissures
    lateral = np.abs(x - f.midline) / 90.0  # 0 at the midline, 1 near the flank
    drawn = _SHIFT_MM * f.collapse * (0.25 + 0.75 * lateral)
    oblique = f.back_z + (f.front_z - f.back_z) * (y - f.back_y) / (f.front_y - f.back_y) + 8.0 * (lateral - 0.5)
    horizontal = f.horizontal_z - f.horizontal_tilt * 90.0 * (lateral - 0.4)
    affected = side == side_of(f.lobe)
    if f.lobe.endswith("lower"):
        oblique = oblique - drawn * affected
    elif f.lobe.endswith("upper"):
        oblique = oblique + drawn * affected * (0.4 if side_of(f.lobe) > 0 else 1.0)
        horizontal = horizontal + drawn
    else:  # the middle lobe becomes a thin wedge between the fissures
        horizontal, oblique = horizontal - 0.6 * drawn, oblique + 0.3 * drawn * affected
    above = z > oblique
    right = np.where(above, np.where(z > horizontal, 1, 2), 3)
    left = np.where(above, 4, 5)
    return np.where(side > 0, right, np.where(side < 0, left, 0)).astype(np.uint8)
