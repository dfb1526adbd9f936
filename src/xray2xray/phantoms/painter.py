"""The painter: one pass over the voxels that says which tissue is where in the canonical frame, and how dense.

All callees of the compiled loop live in this file (numba's cache does not notice changes elsewhere). Boundaries are
anti-aliased: a signed distance becomes an occupancy over one voxel, and tissues are blended in order, outside in.
"""

import math

import numpy as np
from numba import njit

from .shape import (
    CAGE_BACK,
    CAGE_FRONT,
    CAGE_W,
    MEDIA_W,
    SKIN_BACK,
    SKIN_FRONT,
    SKIN_W,
    SPINE_X,
    SPINE_Y,
    Z_MAX,
    Z_MIN,
    Shape,
)
from .tissues import ABDOMEN, AIR, BONE, FAT, HEART, LUNG_LEFT, LUNG_RIGHT, MEDIASTINUM, SOFT


def unit_norm(power: float) -> np.ndarray:
    """(129,): the p-norm of (t, 1 - t) for t from 0 to 1, of which every other p-norm in the plane is a multiple."""
    t = np.linspace(0, 1, 129)
    return (t**power + (1 - t) ** power) ** (1 / power)


@njit(inline="always")
def _inside(distance: float, voxel: float) -> float:
    """Occupancy of a voxel whose centre lies `distance` mm inside a surface."""
    return min(1.0, max(0.0, 0.5 + distance / voxel))


@njit(inline="always")
def _mix(old: float, new: float, occupancy: float) -> float:
    return old + (new - old) * occupancy


@njit(inline="always")
def _superellipse(x: float, y: float, a: float, b: float, unit: np.ndarray) -> float:
    """Approximate distance (mm) inside a superellipse with half axes a, b: along the ray from the centre.

    `unit` is `unit_norm(power)`: a look-up instead of three powers a voxel.
    """
    if a < 1e-3:
        return -1e3
    u, v = abs(x) / a, abs(y) / b
    total = u + v
    if total < 1e-6:
        return min(a, b)
    t = u / total * (unit.shape[0] - 1)
    k = min(int(t), unit.shape[0] - 2)
    r = total * (unit[k] + (unit[k + 1] - unit[k]) * (t - k))
    return math.sqrt(x * x + y * y) * (1.0 / r - 1.0)


@njit(inline="always")
def _ellipse(x: float, y: float, a: float, b: float) -> float:
    """As `_superellipse`, of power 2."""
    r = math.sqrt((x / a) ** 2 + (y / b) ** 2)
    if r < 1e-6:
        return min(a, b)
    return math.sqrt(x * x + y * y) * (1.0 / r - 1.0)


@njit(inline="always")
def _ellipsoid(x: float, y: float, z: float, a: float, b: float, c: float) -> float:
    """Approximate distance (mm) inside an axis-aligned ellipsoid."""
    r = math.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    if r < 1e-6:
        return min(a, b, c)
    return math.sqrt(x * x + y * y + z * z) * (1.0 / r - 1.0)


@njit(inline="always")
def _step(t: float) -> float:
    """Smoothstep of t clipped to 0..1."""
    t = min(1.0, max(0.0, t))
    return t * t * (3.0 - 2.0 * t)


@njit(inline="always")
def _join(a: float, b: float, width: float) -> float:
    """The larger of two distances, with the crease between the two bodies filled over `width` mm."""
    overlap = max(width - abs(a - b), 0.0) / width
    return max(a, b) + 0.25 * width * overlap * overlap


@njit(inline="always")
def _heart(x: float, y: float, z: float, s: Shape) -> float:
    """Distance inside the heart: a tilted ellipsoid for the ventricles joined with the right atrium."""
    dx, dy, dz = x - s.heart_x, y - s.heart_y, z - s.heart_z
    # Long axis: from the base (right, posterior, superior) to the apex (left, anterior, inferior).
    across = dx * s.swing_cos - dy * s.swing_sin
    deep = dx * s.swing_sin + dy * s.swing_cos
    along = across * s.tilt_cos + dz * s.tilt_sin
    thick = -across * s.tilt_sin + dz * s.tilt_cos
    ventricles = _ellipsoid(along, deep, thick, s.heart_long, s.heart_deep, s.heart_wide * 0.78)
    k = s.heart_wide
    atrium = _ellipsoid(dx - 0.62 * k, dy + 0.1 * k, dz - 0.28 * k, 0.62 * k, 0.72 * s.heart_deep, 0.82 * k)
    return _join(ventricles, atrium, 16.0)


@njit(inline="always")
def _vertebra(x: float, y: float, z: float, s: Shape, hu: float, noise: float, voxel: float) -> tuple[float, float]:
    """HU with the spine painted in, and the occupancy of bone. (x, y) are relative to the vertebral body's centre."""
    v = s.vertebra
    level = (z / s.spacing + s.rib_phase) % 1.0
    size = v * (1.0 - 0.0012 * z)  # bodies grow downwards
    body = _ellipse(x, y, 18.5 * size, 15.0 * size)
    occupancy = _inside(body, voxel)
    bone = 0.0
    if occupancy > 0:
        disc = level > 0.80
        shell = min(body, min(level, 0.80 - level) * s.spacing) if not disc else 5.0
        value = 85.0 if disc else (420.0 if shell < 2.0 else 150.0) * s.bone * (1.0 + 0.22 * noise)
        hu = _mix(hu, value, occupancy)
        bone = occupancy
    back = y + 27.0 * v
    arch = 17.0 * v - math.sqrt(x * x + back * back)
    if arch > -voxel:
        canal = 9.0 * v - math.sqrt(x * x + back * back)
        if level < 0.72:
            hu = _mix(hu, 260.0 * s.bone, _inside(arch, voxel))
            bone = max(bone, _inside(arch, voxel))
        hu = _mix(hu, 30.0, _inside(canal, voxel))
    spinous = min(3.4 * v - abs(x), min(y + 62.0 * v, -40.0 * v - y))
    slope = (level + 0.012 * (-40.0 * v - y)) % 1.0
    transverse = min(4.2 * v - abs(y + 22.0 * v + 0.45 * abs(x)), 33.0 * v - abs(x))  # they point backwards
    process = max(
        min(spinous, (0.30 - abs(slope - 0.4)) * s.spacing), min(transverse, (0.15 - abs(level - 0.4)) * s.spacing)
    )
    occupancy = _inside(process, voxel)
    return _mix(hu, 260.0 * s.bone, occupancy), max(bone, occupancy)


@njit(inline="always")
def _ribs(outside: float, side: float, front: float, z: float, s: Shape) -> tuple[float, float]:
    """(distance inside a rib, HU), `outside` mm beyond the pleura; (side, front) point out from the cage's centre."""
    angle = math.degrees(math.atan2(front, abs(side)))  # -90 at the spine, 0 at the flank, +90 at the sternum
    fall = min((angle + 90.0) / 140.0, 1.0)
    drop = s.rib_drop * fall * (2.0 - fall) - 26.0 * _step((angle - 35.0) / 55.0)
    phase = (s.rib_first - z - drop) / s.spacing
    number = math.floor(phase + 0.5)
    if number < 0 or number > 11 or (number > 9 and angle > 10.0):
        return -1e3, 0.0
    height = (phase - number) * s.spacing
    r = math.sqrt((height / 7.0) ** 2 + ((outside - 5.5) / 4.2) ** 2)
    distance = (1.0 - r) * 4.8
    cartilage = _step((angle - 42.0) / 14.0)
    value = (260.0 if distance > 1.6 else 540.0) * s.bone
    return distance, value + (110.0 - value) * cartilage


@njit(inline="always")
def _diaphragm(x: float, y: float, row: np.ndarray, s: Shape) -> float:
    """Height (mm) of the diaphragm at (x, y): two domes, flat on top, that fall ever more steeply to deep sulci."""
    side = x - s.midline
    right = _step(0.5 + side / 50.0)
    top = s.dome_left + (s.dome_right - s.dome_left) * right
    centre = 0.42 * row[CAGE_W]
    out = abs(side) - centre
    u = out / max(row[CAGE_W] - centre, 1.0) if out > 0 else out / max(centre, 1.0)
    peak = row[CAGE_BACK] + s.dome_y * (row[CAGE_FRONT] - row[CAGE_BACK])
    ahead = y - peak
    v = ahead / max(row[CAGE_FRONT] - peak if ahead > 0 else peak - row[CAGE_BACK], 1.0)
    uu, vv = u * u, v * v
    r2 = uu + vv
    if r2 < 1e-6:
        return top
    fall = (uu * (s.sulcus_side if out > 0 else 8.0) + vv * (s.sulcus_front if ahead > 0 else s.sulcus_back)) / r2
    return top - fall * (1.0 - math.sqrt(max(1.0 - 0.96 * min(r2, 1.0), 0.0))) * 1.25


@njit(nogil=True, cache=True, fastmath=True)
def paint(
    coarse: np.ndarray,
    coarse_step: int,
    to_canonical: np.ndarray,
    voxel: float,
    table: np.ndarray,
    s: Shape,
    units: np.ndarray,
    texture: np.ndarray,
    hu: np.ndarray,
    tissue: np.ndarray,
) -> None:
    """Fill `hu` (float32) and `tissue` (uint8), both (n, n, n), in place.

    `coarse` (m, m, m, 3) is the smooth displacement in mm on a grid `coarse_step` voxels apart; `to_canonical` (3, 4)
    takes voxel indices to canonical mm; `units` (4, 129) are the `unit_norm` of the skin, the girdle, the front and the
    back of the cage; `texture` (n, n, n) is unit-variance noise with the spectrum of tissue.
    """
    n = hu.shape[0]
    skin, girdle, front, back = units[0], units[1], units[2], units[3]
    row = np.empty(table.shape[1], np.float32)
    knots = np.empty((coarse.shape[2], 3))
    for i in range(n):
        ci, fi = i // coarse_step, (i % coarse_step) / coarse_step
        for j in range(n):
            cj, fj = j // coarse_step, (j % coarse_step) / coarse_step
            for c in range(coarse.shape[2]):
                for axis in range(3):
                    near = coarse[ci, cj, c, axis] * (1 - fj) + coarse[ci, cj + 1, c, axis] * fj
                    far = coarse[ci + 1, cj, c, axis] * (1 - fj) + coarse[ci + 1, cj + 1, c, axis] * fj
                    knots[c, axis] = near * (1 - fi) + far * fi
            for k in range(n):
                ck, fk = k // coarse_step, (k % coarse_step) / coarse_step
                x = to_canonical[0, 0] * i + to_canonical[0, 1] * j + to_canonical[0, 2] * k + to_canonical[0, 3]
                y = to_canonical[1, 0] * i + to_canonical[1, 1] * j + to_canonical[1, 2] * k + to_canonical[1, 3]
                z = to_canonical[2, 0] * i + to_canonical[2, 1] * j + to_canonical[2, 2] * k + to_canonical[2, 3]
                x += knots[ck, 0] + (knots[ck + 1, 0] - knots[ck, 0]) * fk
                y += knots[ck, 1] + (knots[ck + 1, 1] - knots[ck, 1]) * fk
                z += knots[ck, 2] + (knots[ck + 1, 2] - knots[ck, 2]) * fk
                zi = min(max(z - Z_MIN, 0.0), float(Z_MAX - Z_MIN) - 1e-3)
                lower = int(zi)
                t = zi - lower
                beyond = abs(x) - table[lower, SKIN_W] - 12.0  # air, whatever the breasts and the step of the table
                beyond = max(beyond, max(y - table[lower, SKIN_FRONT] - 80.0, table[lower, SKIN_BACK] - 10.0 - y))
                if beyond > 0:
                    hu[i, j, k] = -1000.0
                    tissue[i, j, k] = AIR
                    continue
                for c in range(row.shape[0]):
                    row[c] = table[lower, c] + (table[lower + 1, c] - table[lower, c]) * t

                # --- outline -------------------------------------------------------------------------------------
                centre = 0.45 * row[SKIN_FRONT] + 0.55 * row[SKIN_BACK]
                half = row[SKIN_FRONT] - centre if y > centre else centre - row[SKIN_BACK]
                depth = _superellipse(x, y - centre, row[SKIN_W], half, skin)
                square = _step((z - s.girdle) / 45.0)  # shoulders fill the corners of the outline
                if square > 0:
                    corner = _superellipse(x, y - centre, row[SKIN_W], half, girdle)
                    depth += (corner - depth) * square
                if s.breast > 0:
                    lean = s.breast_x - 6.0
                    breast = _ellipsoid(
                        abs(x) - lean,
                        y - row[SKIN_FRONT] + 0.55 * s.fat + 10.0,
                        z - s.breast_z,
                        62.0,
                        14.0 + s.breast,
                        66.0,
                    )
                    depth = _join(depth, breast, 26.0)
                if depth < -voxel:
                    hu[i, j, k] = -1000.0
                    tissue[i, j, k] = AIR
                    continue
                noise = texture[i, j, k]
                label = SOFT
                # Muscles with fat between them; the texture is smooth over some mm, as the planes of fat are.
                value = _mix(50.0 + 6.0 * noise, -85.0, 0.85 * _step(-1.1 * noise - 0.35))
                front_share = _step((y - centre) / 70.0)
                rind = s.fat * (0.62 + 0.38 * _step(-z / 90.0) + 0.10 * front_share)
                if s.breast > 0 and y > centre:
                    rind += 0.9 * max(0.0, breast + 6.0)
                fat = _inside(rind - depth, voxel)
                value = _mix(value, -98.0 + 22.0 * noise * (1.0 if s.breast > 0 else 0.5), fat)
                if fat > 0.5:
                    label = FAT
                value = _mix(value, 15.0, _inside(2.0 - depth, voxel))

                # --- rib cage ------------------------------------------------------------------------------------
                yc = 0.5 * (row[CAGE_FRONT] + row[CAGE_BACK])
                hc = 0.5 * (row[CAGE_FRONT] - row[CAGE_BACK])
                # Behind, the spine stands forward between two gutters, and the ribs follow.
                beside = (x - row[SPINE_X]) / (42.0 * s.vertebra)
                rear = hc - 12.0 * s.vertebra / (1.0 + beside * beside) ** 2 if y < yc else hc
                cage = _superellipse(x - row[SPINE_X] * 0.5, y - yc, row[CAGE_W], rear, back if y < yc else front)
                if -13.0 - voxel < cage < voxel:
                    value = _mix(value, 42.0, _inside(cage + 9.0, voxel))
                    rib, density = _ribs(-cage, x - row[SPINE_X] * 0.5, (y - yc) * row[CAGE_W] / max(hc, 1.0), z, s)
                    occupancy = _inside(rib, voxel)
                    if occupancy > 0:
                        value = _mix(value, density * (1.0 + 0.22 * noise), occupancy)
                        if occupancy > 0.5:
                            label = BONE
                    # Sternum: a plate in front, broad at the manubrium.
                    if s.sternum_bottom < z < s.sternum_top:
                        broad = 13.0 + 9.0 * _step((z - s.sternum_top + 45.0) / 35.0)
                        plate = min(broad - abs(x), 5.0 - abs(cage + 5.5)) if y > yc else -1e3
                        occupancy = _inside(plate, voxel)
                        if occupancy > 0:
                            value = _mix(value, 190.0 * s.bone * (1.0 + 0.3 * noise), occupancy)
                            if occupancy > 0.5:
                                label = BONE

                # --- scapulae: plates behind the upper ribs ------------------------------------------------------
                if s.scapula > 0 and y < yc + 20.0 and -32.0 < cage < -12.0:
                    across, up = abs(x) - s.scapula_x, z - 55.0 * s.scapula
                    triangle = 62.0 + 0.55 * up  # wide above, pointed below
                    plate = min(min(triangle * 0.55 - abs(across - 0.18 * up), 62.0 - abs(up)), 3.2 - abs(cage + 21.0))
                    ridge = min(5.0 - abs(up - 34.0 - 0.12 * across), min(50.0 - abs(across), 6.5 - abs(cage + 25.0)))
                    occupancy = _inside(max(plate, ridge), voxel)
                    if occupancy > 0:
                        value = _mix(value, 300.0 * s.bone * (1.0 + 0.25 * noise), occupancy)
                        if occupancy > 0.5:
                            label = BONE

                # --- inside the cage -----------------------------------------------------------------------------
                dx = x - row[SPINE_X]
                dy = y - row[SPINE_Y]
                if cage > -voxel:
                    pleura = cage - 1.0
                    above = z - _diaphragm(x, y, row, s)
                    heart = _heart(x, y, z, s)
                    # Above the heart both lungs reach behind the sternum and before the spine, and nearly meet.
                    middle = 0.55 * row[SPINE_Y] + 0.45 * row[CAGE_FRONT] + 4.0
                    stretch = (0.40 + 0.12 * _step((z - 50.0) / 40.0)) * (row[CAGE_FRONT] - row[SPINE_Y])
                    column = _ellipse(x - s.midline, y - middle, row[MEDIA_W], max(stretch, 20.0))
                    column -= 30.0 * _step((s.heart_z + 10.0 - z) / 45.0)  # gives way to the heart below
                    gutter = _ellipse(dx, dy + 6.0, 25.0 * s.vertebra, 27.0 * s.vertebra)
                    septum = min(5.0 - abs(x - s.midline + 4.0), y - middle) if z > s.heart_z else -1e3
                    esophagus = 15.0 - math.sqrt((x - s.midline + 4.0) ** 2 + (dy - 26.0 * s.vertebra) ** 2)
                    hilum_y, hilum_z = y - s.hilum_y, z - s.hilum_z
                    hila = max(
                        _ellipsoid(x - s.midline - 38.0, hilum_y, hilum_z, 17.0, 17.0, 24.0),
                        _ellipsoid(x - s.midline + 38.0, hilum_y, hilum_z - 8.0, 17.0, 17.0, 22.0),
                    )
                    # The lungs' roots meet before the spine, where the left atrium lies.
                    hila = max(hila, _ellipsoid(x - s.midline, hilum_y - 8.0, hilum_z + 10.0, 40.0, 26.0, 34.0))
                    media = max(max(_join(column, heart + 2.0, 24.0), gutter), max(max(septum, esophagus), hila))
                    chest = _inside(pleura, voxel)
                    if above < voxel:  # belly: liver, stomach with its bubble, spleen, the rest fat and bowel
                        organ = _mix(38.0, -98.0, _step(0.5 + 0.9 * noise))  # bowel in its fat
                        belly_y = 0.5 * (row[CAGE_FRONT] + row[CAGE_BACK]) + 14.0
                        liver = _ellipsoid(x - 62.0, y - belly_y - 10.0, z - s.dome_right + 68.0, 105.0, 92.0, 72.0)
                        spleen = _ellipsoid(x + 98.0, y - belly_y + 45.0, z - s.dome_left + 46.0, 38.0, 48.0, 42.0)
                        stomach = _ellipsoid(x + 58.0, y - belly_y - 22.0, z - s.dome_left + 40.0, 46.0, 48.0, 36.0)
                        organ = _mix(organ, 25.0 + 14.0 * noise, _inside(stomach, voxel))
                        level = (y - belly_y - 22.0 + s.gas) if s.supine > 0.5 else (z - s.dome_left + 40.0 + s.gas)
                        organ = _mix(organ, -950.0, _inside(min(stomach - 4.0, level), voxel))
                        organ = _mix(organ, 52.0 + 6.0 * noise, _inside(spleen, voxel))
                        organ = _mix(organ, 58.0 + 6.0 * noise, _inside(liver, voxel))
                        organ = _mix(organ, 45.0, _inside(3.0 - abs(above + 2.0), voxel))  # diaphragm muscle
                        value = _mix(value, organ, chest * _inside(-above, voxel))
                        if chest > 0.5 and above < 0:
                            label = ABDOMEN
                    airy = min(min(pleura, above), -media)
                    occupancy = _inside(airy, voxel)
                    if chest > 0 and above > -voxel:
                        inner = _mix(38.0, -92.0, _step(0.42 + 0.8 * noise))  # mediastinal tissue in its fat
                        beat = _inside(heart, voxel)
                        shade = s.blood_hu if heart > 9.0 else 0.5 * (s.blood_hu + 50.0)
                        shade = -88.0 if heart < 3.5 and noise < 0.8 else shade  # fat about the heart
                        inner = _mix(inner, shade + 5.0 * noise, beat)
                        value = _mix(value, inner, chest * _inside(above, voxel) * (1.0 - occupancy))
                        if chest > 0.5 and above > 0:
                            label = HEART if beat > 0.5 else MEDIASTINUM
                    if occupancy > 0:
                        slope = (y - 0.5 * (row[CAGE_FRONT] + row[CAGE_BACK])) if s.supine > 0.5 else (z - 20.0)
                        # Vessels and bronchi too thin for the tree crowd towards the hilum: less than the mean outside.
                        air = s.lung_hu - 18.0 - 0.42 * slope + 26.0 * noise
                        aside = abs(x - s.midline) - 30.0
                        air += 90.0 * math.exp(-(aside * aside + hilum_y * hilum_y + hilum_z * hilum_z) / 2500.0)
                        if occupancy > 0.5:
                            label = LUNG_RIGHT if x > s.midline else LUNG_LEFT
                        value = _mix(value, min(air, 60.0), occupancy)

                # --- spine ---------------------------------------------------------------------------------------
                if abs(dx) < 40.0 * s.vertebra and -66.0 * s.vertebra < dy < 20.0 * s.vertebra:
                    value, bone = _vertebra(dx, dy, z, s, value, noise, voxel)
                    if bone > 0.5:
                        label = BONE
                occupancy = _inside(depth, voxel)
                hu[i, j, k] = _mix(-1000.0, value, occupancy)
                tissue[i, j, k] = label if occupancy > 0.5 else AIR


@njit(nogil=True, cache=True, fastmath=True)
def paint_capsules(hu: np.ndarray, tissue: np.ndarray, capsules: np.ndarray, voxel: float) -> None:
    """Paint tubes in place. A row of `capsules`: start (3), end (3), both in voxel indices; radii (2) in voxels; HU;
    tissue; 1 if it may only replace lung. Tubes thinner than a voxel keep their mass: their occupancy is scaled by
    their cross-section.
    """
    n = hu.shape[0]
    for c in range(capsules.shape[0]):
        ax, ay, az, bx, by, bz, ra, rb, value, label, lung_only = capsules[c]
        wide = max(ra, rb) + 1.0
        ux, uy, uz = bx - ax, by - ay, bz - az
        length2 = max(ux * ux + uy * uy + uz * uz, 1e-6)
        for i in range(max(0, int(min(ax, bx) - wide)), min(n, int(max(ax, bx) + wide) + 2)):
            for j in range(max(0, int(min(ay, by) - wide)), min(n, int(max(ay, by) + wide) + 2)):
                for k in range(max(0, int(min(az, bz) - wide)), min(n, int(max(az, bz) + wide) + 2)):
                    if lung_only > 0 and not (LUNG_RIGHT <= tissue[i, j, k] <= LUNG_LEFT):
                        continue
                    if tissue[i, j, k] == AIR or tissue[i, j, k] == BONE:
                        continue
                    t = ((i - ax) * ux + (j - ay) * uy + (k - az) * uz) / length2
                    t = min(1.0, max(0.0, t))
                    px, py, pz = ax + t * ux - i, ay + t * uy - j, az + t * uz - k
                    radius = ra + (rb - ra) * t
                    occupancy = min(1.0, max(0.0, 0.5 + radius - math.sqrt(px * px + py * py + pz * pz)))
                    if radius < 0.6:
                        occupancy *= max(0.08, (radius / 0.6) ** 2)
                    hu[i, j, k] = _mix(hu[i, j, k], value, occupancy)
                    if occupancy > 0.5:
                        tissue[i, j, k] = int(label)
