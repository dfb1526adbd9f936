"""Everything tube-shaped: great vessels, airways, clavicles, and the vascular tree of each lung."""

import numpy as np
from numba import njit

from .patient import Patient
from .shape import CAGE_FRONT, SPINE_Y, Shape, at
from .tissues import AIRWAY, BONE, LUNG_LEFT, LUNG_RIGHT, VESSEL

Chain = tuple[np.ndarray, np.ndarray, float, int]  # points (n, 3) mm, radii (n,) mm, HU, tissue


def great_vessels(patient: Patient, s: Shape, table: np.ndarray) -> list[Chain]:
    """Chains in canonical mm: aorta with its arch, pulmonary trunk and arteries, superior vena cava.

    Courses are drawn by eye. Diameters in the population: ascending aorta 33 +- 4, descending 24 +- 3 mm (Wolak, JACC
    Cardiovasc Imaging 1:200, 2008), pulmonary trunk 25.1 +- 2.8 mm (Truong, Circ Cardiovasc Imaging 5:147, 2012).
    """
    p, v, m = patient.body, patient.body.height, s.midline
    ageing = patient.burden.unfolding
    r, blood = p.aorta_mm * patient.burden.aorta_growth * v, s.blood_hu
    arch_z = (58 + 8 * ageing) * v
    spine = [at(table, SPINE_Y, z) for z in (arch_z - 12, 20, -60, -140)]
    wander = 10 * ageing  # an ageing aorta unfolds to the left
    aorta = [
        (m + 6, s.heart_y - 4, s.heart_z + 0.45 * s.heart_wide),
        (m + 14, s.heart_y + 2, 0.55 * arch_z),
        (m + 6, 0.6 * s.heart_y + 0.4 * spine[0], arch_z),
        (m - 16, 0.25 * s.heart_y + 0.75 * (spine[0] + 12), arch_z + 2),
        (m - 24 - wander, spine[0] + 14, arch_z - 16),
        (m - 25 - wander, spine[1] + 16, 20.0),
        (m - 18 - 0.5 * wander, spine[2] + 22, -60.0),
        (m - 6, spine[3] + 26, -140.0),
    ]
    radii = r * np.array([1.1, 1.1, 1.0, 0.95, 0.9, 0.85, 0.8, 0.72])
    lungs = [
        (m - 8, s.heart_y + 6, s.heart_z + 0.55 * s.heart_wide),
        (m - 18, s.hilum_y + 10, s.hilum_z + 22),
        (m - 42, s.hilum_y, s.hilum_z + 10),
    ]
    right = [
        (m - 10, s.hilum_y + 8, s.hilum_z + 16),
        (m + 14, s.hilum_y + 2, s.hilum_z + 6),
        (m + 42, s.hilum_y, s.hilum_z),
    ]
    cava = [
        (m + 22, s.hilum_y + 18, 95.0 * v),
        (m + 26, s.hilum_y + 16, 30.0),
        (m + 24, s.hilum_y + 14, s.heart_z + 12),
    ]
    pulmonary = 11.0 * v * (1 + 0.15 * patient.findings.edema)
    chains: list[Chain] = [
        (np.array(aorta), radii, blood, VESSEL),
        (np.array(lungs), np.array([13.0, 11.5, 9.0]) * v, blood, VESSEL),
        (np.array(right), np.full(3, pulmonary), blood, VESSEL),
        (np.array(cava), np.array([8.0, 9.0, 10.0]) * v, blood, VESSEL),
    ]
    return chains


def airways(patient: Patient, s: Shape, table: np.ndarray) -> list[Chain]:
    """Trachea and main bronchi.

    Tracheas are 18 x 19 mm wide in men and 15 x 15 mm in women on CT (Lee, J Korean Radiol Soc 24:265, 1988); limits on
    radiographs: Breatnach, AJR 142:903 (1984). The bronchi are chosen.
    """
    v, m = patient.body.height, s.midline
    carina = (m + 2, at(table, SPINE_Y, 36) + 34 * v, 36.0 * v)
    top = (m * 0.4, at(table, SPINE_Y, 170) + 40 * v, 190.0 * v)
    mid = (m + 1, at(table, SPINE_Y, 95) + 36 * v, 95.0 * v)
    radius = (7.5 if patient.female else 9.0) * v
    return [
        (np.array([top, mid, carina]), np.full(3, radius), -990.0, AIRWAY),
        (np.array([carina, (m + 38, s.hilum_y - 2, s.hilum_z)]), np.array([7.0, 5.5]) * v, -960.0, AIRWAY),
        (np.array([carina, (m - 42, s.hilum_y - 4, s.hilum_z - 2)]), np.array([6.0, 5.0]) * v, -960.0, AIRWAY),
    ]


def shoulder_bones(patient: Patient, s: Shape, table: np.ndarray) -> list[Chain]:
    """Clavicles and humeral heads; raised arms lift and steepen them."""
    v = patient.body.height
    rise = 34.0 if patient.scan.arms_up else 10.0
    chains: list[Chain] = []
    for side in (-1.0, 1.0):
        inner = (side * 20 * v, at(table, CAGE_FRONT, 88 * v) + 4, 90 * v)
        bend = (side * 75 * v, at(table, CAGE_FRONT, 88 * v) - 8, (98 + 0.4 * rise) * v)
        outer = (side * 138 * v, at(table, CAGE_FRONT, 88 * v) - 46, (98 + rise) * v)
        chains.append((np.array([inner, bend, outer]), np.array([7.0, 5.0, 6.0]) * v, 430.0 * s.bone, BONE))
        head = (side * 168 * v, outer[1] - 8, (92 + rise) * v)
        far = (side * (188 if patient.scan.arms_up else 196) * v, head[1], (170 if patient.scan.arms_up else 30) * v)
        chains.append((np.array([head, far]), np.array([21.0, 12.0]) * v, 320.0 * s.bone, BONE))
    return chains


def rounded(points: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centre line (m, 3) and radii (m,) of a chain with its corners rounded; one of two points stays straight."""
    if len(points) == 2:
        return points, radii
    fine = np.linspace(0, len(points) - 1, 6 * (len(points) - 1) + 1)
    knots = np.arange(len(points))
    curve = np.stack([np.interp(fine, knots, points[:, a]) for a in range(3)], axis=1)
    for _ in range(3):
        curve[1:-1] = 0.25 * curve[:-2] + 0.5 * curve[1:-1] + 0.25 * curve[2:]
    return curve, np.interp(fine, knots, radii)


@njit(cache=True)
def _parents(nodes: np.ndarray) -> np.ndarray:
    """For each of `nodes` (n, 3), the earlier node whose gap to it and way to the root are short together."""
    parent = np.zeros(len(nodes), np.int64)
    way = np.zeros(len(nodes))
    for i in range(1, len(nodes)):
        least, best = np.inf, 0.0
        for j in range(i):
            gap = 0.0
            for axis in range(3):
                gap += (nodes[j, axis] - nodes[i, axis]) ** 2
            gap = np.sqrt(gap)
            if gap + 0.35 * way[j] < least:
                least, best = gap + 0.35 * way[j], gap
                parent[i] = j
        way[i] = way[parent[i]] + best
    return parent


def lung_tree(points: np.ndarray, hilum: np.ndarray, thinnest: float) -> tuple[np.ndarray, np.ndarray]:
    """Grow a vascular tree from the hilum to `points` (n, 3), nearest first, each joined where its way home is short.

    Returns segments (n, 2, 3) and radii (n, 2) in the unit of the points; radii follow Murray's law with exponent 2.7
    from the number of leaves downstream. It is 3 in theory (Murray, PNAS 12:207, 1926) and 2.9 +- 1.1 at the branchings
    of pulmonary arteries (Dong et al., Am J Physiol Heart 319:H432, 2020); that the orders of Huang et al. (J Appl
    Physiol 81:2123, 1996) give 2.7 is from memory, not verified.
    """
    order = np.argsort(np.linalg.norm(points - hilum, axis=1))
    nodes = np.concatenate([hilum[None], points[order]])
    parent = _parents(nodes)
    leaves = np.ones(len(nodes))
    for i in range(len(nodes) - 1, 0, -1):
        leaves[parent[i]] += leaves[i]
    radius = thinnest * leaves ** (1 / 2.7)
    children = np.arange(1, len(nodes))
    segments = np.stack([nodes[parent[children]], nodes[children]], axis=1)
    return segments, np.stack([np.minimum(radius[parent[children]], 1.6 * radius[children]), radius[children]], axis=1)


def pulmonary_tree(
    tissue: np.ndarray, hila: dict[int, np.ndarray], voxel: float, rng: np.random.Generator, leaves: int = 260
) -> np.ndarray:
    """Capsule rows (see `painter.paint_capsules`) of both lungs' vessels, in voxel indices."""
    rows = []
    for side in (LUNG_RIGHT, LUNG_LEFT):
        inside = np.flatnonzero(tissue == side)
        if len(inside) < leaves:
            continue
        picks = np.stack(np.unravel_index(rng.choice(inside, leaves, replace=False), tissue.shape), axis=1).astype(
            float
        )
        segments, radii = lung_tree(picks, hila[side], 0.9 / voxel)
        rest = np.tile([40.0, VESSEL, 1.0], (len(segments), 1))
        rows.append(np.concatenate([segments.reshape(-1, 6), np.minimum(radii, 5.5 / voxel), rest], axis=1))
    return np.concatenate(rows) if rows else np.zeros((0, 11))
