"""Calcium as plaques: small dense capsules along the coronary arteries, on the aorta's wall and in the valves.

A plaque that is as dense as those painted here has the highest density weight of Agatston (J Am Coll Cardiol 15:827,
1990), 4 from 400 HU, on every slice of 3 mm, so a score of 1 is 0.75 mm3 of it. Plaques are drawn until their volume is
the score's: their number and their size both grow with it.
"""

from collections.abc import Sequence

import numpy as np

from .burden import Burden
from .shape import Shape
from .tissues import VESSEL
from .tubes import Chain, rounded

MM3_PER_SCORE = 3.0 / 4.0
_VESSELS = ((0.45, "lad"), (0.22, "lcx"), (0.33, "rca"))  # mean share of the coronary calcium; chosen


def calcifications(burden: Burden, s: Shape, aorta: Chain, rng: np.random.Generator) -> list[Chain]:
    """Plaques for a burden's scores, in canonical mm.

    Args:
        s: where the heart is.
        aorta: from the valve to the abdomen, as `tubes.great_vessels` gives it.
    """
    coronary, wall, valve, mitral = rng.spawn(4)  # one site's plaques leave the others, and `rng`, as they were
    courses = coronary_courses(s)
    pick = coronary.multinomial(100, [share for share, _ in _VESSELS]) / 100
    chains: list[Chain] = []
    for share, (_, name) in zip(pick, _VESSELS, strict=True):
        # Proximal segments calcify first (from memory, not verified): places crowd towards the start of the artery.
        chains += _plaques(coronary, burden.coronary * share, [courses[name]], nearer_start=2.0)
    chains += _plaques(wall, burden.aortic, _wall_lines(aorta, wall))
    chains += _plaques(valve, burden.aortic_valve, [_ring(aorta[0][0], aorta[0][1] - aorta[0][0], 9.0, 1.0)])
    chains += _plaques(mitral, burden.mitral_annulus, [_mitral_annulus(s)])
    return chains


def coronary_courses(s: Shape) -> dict[str, np.ndarray]:
    """The three coronary arteries on the surface of the heart's ellipsoid, (30, 3) canonical mm each, from the ostium.

    The long axis runs from the base to the apex. Around it, at angles from anterior (0) over left and superior (90):
    the anterior descending artery runs in the anterior groove to the apex; the circumflex and the right coronary
    artery follow the groove between atria and ventricles, to the left and to the right.
    """
    t = np.linspace(0.0, 1.0, 30)
    return {
        "lad": _on_heart(s, 0.45 - 1.35 * t, 62 - 22 * t),
        "lcx": _on_heart(s, 0.45 - 0.10 * t, 66 + 114 * t),
        "rca": _on_heart(s, 0.50 - 0.10 * t, 25 - 155 * t),
    }


def _on_heart(s: Shape, along: np.ndarray, around_deg: np.ndarray) -> np.ndarray:
    """Points (n, 3) just under the surface: `along` is -1 at the apex and 1 at the base (see `painter._heart`)."""
    radius, angle = 0.97 * np.sqrt(1 - along**2), np.radians(around_deg)
    return _heart_frame(s, along, radius * np.cos(angle), radius * np.sin(angle))


def _heart_frame(s: Shape, along: np.ndarray, deep: np.ndarray, thick: np.ndarray) -> np.ndarray:
    """From shares of the heart's half axes to canonical mm; what the diaphragm flattens is lifted onto it."""
    a, d, t = along * s.heart_long, deep * s.heart_deep, thick * s.heart_wide * 0.78
    across = a * s.tilt_cos - t * s.tilt_sin
    x = s.heart_x + across * s.swing_cos + d * s.swing_sin
    y = s.heart_y - across * s.swing_sin + d * s.swing_cos
    z = s.heart_z + a * s.tilt_sin + t * s.tilt_cos
    return np.stack([x, y, np.maximum(z, s.dome_left + 4.0)], axis=1)


def _mitral_annulus(s: Shape) -> np.ndarray:
    """The posterior two thirds of the ring between left atrium and ventricle, where the annulus calcifies."""
    angle = np.radians(np.linspace(60, 300, 30))
    return _heart_frame(s, np.full(30, 0.32), -0.30 + 0.34 * np.cos(angle), 0.25 + 0.34 * np.sin(angle))


def _ring(centre: np.ndarray, axis: np.ndarray, radius: float, share: float) -> np.ndarray:
    """(30, 3): a share of a circle of `radius` mm across `axis`."""
    u, v = _across(axis)
    angle = 2 * np.pi * share * np.linspace(0, 1, 30)[:, None]
    return centre + radius * (u * np.cos(angle) + v * np.sin(angle))


def _wall_lines(aorta: Chain, rng: np.random.Generator, count: int = 24) -> Sequence[np.ndarray]:
    """Lines along the aorta's wall from the arch downwards: (n, 3) each, at angles drawn around it."""
    centre, radius = rounded(aorta[0], aorta[1])
    first = int(np.argmax(centre[:, 2])) - 4  # the ascending aorta is mostly spared (not verified)
    centre, radius = centre[first:], radius[first:, None]
    frames = [_across(step) for step in np.gradient(centre, axis=0)]
    u, v = (np.array(axes) for axes in zip(*frames, strict=True))
    angles = rng.uniform(0, 2 * np.pi, count)
    return [centre + 0.96 * radius * (u * np.cos(angle) + v * np.sin(angle)) for angle in angles]


def _across(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors across an axis that is not the x axis, turning smoothly with it."""
    u = np.cross(axis, [1.0, 0.0, 0.0])
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    return u, v / np.linalg.norm(v)


def _plaques(
    rng: np.random.Generator, score: float, courses: Sequence[np.ndarray], nearer_start: float = 1.0
) -> list[Chain]:
    """Plaques on courses (n, 3) until their volume is that of the score."""
    chains: list[Chain] = []
    left = MM3_PER_SCORE * score
    typical = 10.0 * score**0.2  # mm3 of one plaque: a score of 100 is three of them, one of 2000 about thirty
    while left > 0.05:
        volume = min(left, typical * rng.lognormal(0.0, 0.5))
        left -= volume
        course = courses[int(rng.integers(len(courses)))]
        place = rng.beta(1.0, nearer_start) * (len(course) - 1.001)
        i, t = int(place), place % 1
        along = course[i + 1] - course[i]
        along = along / max(float(np.linalg.norm(along)), 1e-6)
        # A capsule whose axis is three radii long: V = pi r^2 3 r + 4/3 pi r^3.
        radius = (volume / (np.pi * (3 + 4 / 3))) ** (1 / 3)
        start = course[i] * (1 - t) + course[i + 1] * t + rng.normal(0, 0.6, 3)
        points = np.stack([start, start + 3 * radius * along])
        chains.append((points, np.full(2, radius), float(rng.uniform(550, 1150)), VESSEL))
    return chains
