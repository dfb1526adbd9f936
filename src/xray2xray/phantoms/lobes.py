"""The five lobes: an oblique fissure in each lung, a horizontal one in the right.

Surface anatomy (Standring, Gray's Anatomy, 41st ed., ch. 54; Felson, Chest Roentgenology, ch. 3; both from memory, not
verified): the oblique fissure begins behind at the level of T4 (texts range from the spine of T2 to T4) and ends in
front at the diaphragm, near the sixth costochondral junction; the horizontal fissure lies at the fourth anterior rib
and meets the hilum. Where they go in lobar collapse: Woodring and Reed, J Thorac Imaging 11:109 (1996; page from
memory). A lobe that loses air draws its fissures in, least at the hilum, which anchors it.

All lengths in mm of the canonical frame (x to the patient's right, y anterior, z superior).
"""

from typing import NamedTuple

import numpy as np
from numba import njit

LOBES = ("right_upper", "right_middle", "right_lower", "left_upper", "left_lower")  # lobe index - 1
_SHIFT_MM = 52.0  # a fissure's way at the flank in complete collapse


class Fissures(NamedTuple):
    """Heights of the fissures over (x, y); `shrunken` and `collapse` say which lobe has drawn them in, and how far."""

    midline: float
    back_y: float
    back_z: float  # height of the oblique fissures at `back_y`
    front_y: float
    front_z: float  # and at `front_y`
    horizontal_z: float  # at the hilum
    horizontal_tilt: float  # fall towards the flank, mm a mm
    shrunken: int  # 1 + position in LOBES
    collapse: float  # 0..1


def side_of(lobe: str) -> int:
    """+1 for a lobe of the right lung, -1 for one of the left."""
    return 1 if lobe.startswith("right") else -1


@njit(nogil=True, cache=True)
def lobes(points: np.ndarray, side: np.ndarray, fissures: Fissures) -> np.ndarray:
    """Lobe of each point.

    Args:
        points: (3, n) canonical mm.
        side: (n,) +1 in the right lung, -1 in the left, 0 outside.
        fissures: where they run.

    Returns:
        (n,) uint8, 0 outside the lungs, else 1 + the position in `LOBES`.
    """
    f = fissures
    lobe = np.zeros(len(side), np.uint8)
    depth = f.front_y - f.back_y
    for n in range(len(side)):
        lateral = abs(points[0, n] - f.midline) / 90.0  # 0 at the midline, 1 near the flank
        ahead = (points[1, n] - f.back_y) / depth  # 0 at the back, 1 in front
        oblique = f.back_z + (f.front_z - f.back_z) * ahead + 8.0 * (lateral - 0.5)
        horizontal = f.horizontal_z - f.horizontal_tilt * 90.0 * (lateral - 0.4) + 24.0 * (0.12 - (ahead - 0.5) ** 2)
        drawn = _SHIFT_MM * f.collapse * (0.25 + 0.75 * lateral)
        if f.shrunken == 1:  # the upper lobe folds upwards like a fan, its part behind forwards
            oblique += 0.4 * drawn * (side[n] > 0) * min(max((oblique - horizontal) / 30.0, 0.0), 1.0)
            horizontal += drawn
        elif f.shrunken == 2:  # the middle lobe becomes a thin wedge between its fissures
            horizontal -= 0.6 * drawn
            if side[n] > 0:
                oblique = max(oblique, min(oblique + 0.3 * drawn, horizontal))
        elif f.shrunken == 4:  # the left upper lobe moves forwards
            oblique += 1.6 * drawn * (side[n] < 0)
        elif (f.shrunken == 3 and side[n] > 0) or (f.shrunken == 5 and side[n] < 0):  # a lower lobe: down and back
            oblique -= drawn
        z = points[2, n]
        if side[n] > 0:
            lobe[n] = 3 if z < oblique else (1 if z > horizontal else 2)
        elif side[n] < 0:
            lobe[n] = 5 if z < oblique else 4
    return lobe
