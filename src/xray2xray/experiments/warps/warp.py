"""Real CTs warped to the shapes of virtual patients: many chests of few.

A chest's `Outline` says how tall its lungs are, and where body and lungs begin and end at every level of them. It is
measured in the same way on a CT and on a virtual patient, and `warp` bends the one to the other: stretched along z from
base to dome to apex, and at every level along x and y through the edges of body and lungs, with a small smooth
displacement on top. Above and below the lungs a chest goes on as at their ends. Without the displacement the map is
triangular, (x(x, z), y(y, z), z(z)) with every slope positive: it cannot fold.

HU stay HU. Right stays right: a mirrored chest would have its heart and stomach on the wrong side.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from scipy.ndimage import gaussian_filter1d

from ...core.errors import InputError
from ...phantoms.build import make_volume, smooth_displacement
from ...phantoms.findings import Findings
from ...phantoms.patient import sample_patient
from ...phantoms.tissues import AIR, COUCH, LUNG_LEFT, LUNG_RIGHT
from ...volume.couch import AIR_HU
from ...volume.volume import Volume, analysis_stride, body_mask, lung_mask, lung_planes

STRETCH = (0.65, 1.5)  # of any part along any axis; a chest that would need more is met half way
DISPLACEMENT_MM = 3.0  # amplitude of the displacement: what differs between two chests of one outline
VOXEL_MM = 2.0  # of a warped scan; finer than what a view of 128 pixels shows

_TARGET_SIZE = 64  # voxels along the edge of the virtual patient whose outline is taken
_LEVELS = np.linspace(0.1, 0.85, 16)  # of the way from dome to apex; nearer to either the lungs change too fast
_SMOOTH_LEVELS = 2.0  # 20 mm in a middle chest
_EDGE_SHARE = 0.005  # of the mask's voxels in a plane that may lie beyond an edge
_BASE_MM = 55.0  # of lung below the domes in a middle chest
_LEAST_MM = 10.0  # between two landmarks


@dataclass(frozen=True, eq=False)
class Outline:
    """Where a chest begins and ends, in mm from the centre of its grid's first voxel along the axes of the grid.

    Attributes:
        z_mm: (3,) the base of the lungs; their domes, where they first have half of their largest area; the apex.
        edges_mm: (n, 2, 6) at n levels from dome to apex, along x and y, from low to high: where the body begins, where
            the lungs begin, a quarter and three quarters of them, where they end, where the body ends.
    """

    z_mm: np.ndarray
    edges_mm: np.ndarray


def outline(volume: Volume) -> Outline:
    """The outline of a canonical CT that holds no couch; of lungs cut by the end of the scan, what is there.

    Raises:
        InputError: there are no lungs in it.
    """
    stride = analysis_stride(volume)
    hu = volume.hu[tuple(slice(None, None, step) for step in stride)]
    spacing = volume.spacing_mm * stride
    body = body_mask(Volume(hu, np.diag([*spacing, 1.0])))
    lungs = lung_mask(hu, body, float(spacing.prod()) / 1000)
    if not lungs.any():
        raise InputError(f"{volume.source or 'volume'}: no lungs in it, nothing to warp; give a chest CT")
    return _measure(body, lungs, spacing)


def patient_outline(seed: int) -> Outline:
    """The outline of a virtual patient: the body of a seed as a CT would find it healthy, whole, lying and arms up."""
    patient = sample_patient(seed)
    scan = replace(patient.scan, supine=True, arms_up=True, couch=False)
    scan = replace(scan, field_of_view_mm=1e3, above_mm=1e3, below_mm=1e3)
    volume, tissue = make_volume(replace(patient, findings=Findings(), scan=scan), _TARGET_SIZE)
    body = (tissue != AIR) & (tissue != COUCH)
    return _measure(body, (tissue == LUNG_RIGHT) | (tissue == LUNG_LEFT), volume.spacing_mm)


def warp(volume: Volume, source: Outline, target: Outline, seed: int | None = None) -> Volume:
    """A scan bent until its outline is another chest's, or as near to it as `STRETCH` allows.

    Args:
        volume: a canonical CT without its couch: it would be bent like the back it lies under.
        source: the scan's `outline`.
        target: the outline it shall have.
        seed: of the displacement; None for none.

    Returns:
        The new chest on a grid of `VOXEL_MM` that holds all of the old one; trilinear, air where there was no scan.
    """
    knots = _stretched(source.z_mm, target.z_mm)
    edges = _stretched(source.edges_mm, target.edges_mm)
    edges += _smooth(_anchor(target.edges_mm) - _anchor(edges))[:, :, None]

    last = (np.array(volume.shape) - 1) * volume.spacing_mm
    z = _grid(*_through(np.array([0, last[2]]), source.z_mm, knots))
    z_from = _through(z, knots, source.z_mm)
    level = np.interp(z, knots[1:], (0.0, 1.0))
    tables = []
    for axis in (0, 1):
        old, new = _rows(source.edges_mm[:, axis], level), _rows(edges[:, axis], level)
        at = _grid((new - old)[:, 0].min(), (new - old)[:, -1].max() + last[axis])
        tables.append(np.stack([_through(at, n, o) for n, o in zip(new, old, strict=True)]) / volume.spacing_mm[axis])
    x_from, y_from = (table.astype(np.float32) for table in tables)
    shift = smooth_displacement(np.random.default_rng(seed), 0.0 if seed is None else DISPLACEMENT_MM)
    hu = np.empty((x_from.shape[1], y_from.shape[1], len(z)), np.float32)
    spacing = volume.spacing_mm.astype(np.float32)
    _resample(volume.hu, x_from, y_from, z_from.astype(np.float32) / spacing[2], shift / spacing, hu)
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = -(np.array(hu.shape) - 1) / 2 * VOXEL_MM
    return Volume(hu, affine, volume.source)


def _measure(body: np.ndarray, lungs: np.ndarray, spacing_mm: np.ndarray) -> Outline:
    """The outline of two canonical masks."""
    area = lungs.sum((0, 1))
    planes = lung_planes(lungs)
    base, apex = planes[0] * spacing_mm[2], planes[-1] * spacing_mm[2]
    widest = int(area.argmax())
    dome = (planes[0] + int(np.argmax(area[planes[0] : widest + 1] >= 0.5 * area.max()))) * spacing_mm[2]
    apex = max(apex, dome + _LEAST_MM)
    # a scan that begins within the lungs does not show their base
    base = min(base, dome - (_LEAST_MM if planes[0] else _BASE_MM))
    z = np.arange(len(area)) * spacing_mm[2]
    at = dome + _LEVELS * (apex - dome)
    edges = np.empty((len(_LEVELS), 2, 6))
    for axis in (0, 1):
        ends = (_EDGE_SHARE, 1 - _EDGE_SHARE)
        skin = _quantiles(body, axis, ends) * spacing_mm[axis]
        pleura = _quantiles(lungs, axis, (ends[0], 0.25, 0.75, ends[1])) * spacing_mm[axis]
        if axis == 0:  # about the lungs' middle, or a heart that lies further to the left would bend the spine
            half = np.diff(pleura[:, 1:3]) / 2
            pleura[:, 1:3] = pleura[:, [0, 3]].mean(axis=1, keepdims=True) + half * (-1, 1)
        columns = np.concatenate([skin[:, :1], pleura, skin[:, 1:]], axis=1)
        edges[:, axis] = np.stack([np.interp(at, z, column) for column in columns.T], axis=1)
    edges = _smooth(edges)
    for low, high in itertools.pairwise(range(6)):  # a lung that the scanner's circle cuts leaves no wall to measure
        edges[..., high] = np.maximum(edges[..., high], edges[..., low] + _LEAST_MM)
    return Outline(np.array([base, dome, apex]), edges)


def _quantiles(mask: np.ndarray, axis: int, shares: Sequence[float]) -> np.ndarray:
    """(nz, n): where along `axis` these shares of the mask's voxels in a plane are reached, as fractional indices."""
    counts = mask.sum(axis=1 - axis)  # (size, nz)
    reached = np.concatenate([np.zeros((1, counts.shape[1])), np.cumsum(counts, axis=0)]) / np.maximum(counts.sum(0), 1)
    edges = np.arange(len(reached)) - 0.5
    return np.stack([np.interp(shares, column, edges) for column in reached.T])


def _smooth(levels: np.ndarray) -> np.ndarray:
    """Neighbouring levels belong to one smooth surface."""
    return gaussian_filter1d(levels, _SMOOTH_LEVELS, axis=0, mode="nearest")


def _stretched(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Knots, ascending along the last axis, moved from the source's to the target's as far as `STRETCH` allows.

    Distances are the target's; the first knot is where the target has it.
    """
    length = np.diff(source)
    stretch = np.clip(np.diff(target) / length, *STRETCH)
    return np.concatenate([target[..., :1], target[..., :1] + np.cumsum(stretch * length, axis=-1)], axis=-1)


def _anchor(edges: np.ndarray) -> np.ndarray:
    """(n, 2): what the two chests share at every level: the middle of the lungs along x, their back along y."""
    return np.stack([edges[:, 0, [1, -2]].mean(axis=1), edges[:, 1, 1]], axis=1)


def _grid(low: float, high: float) -> np.ndarray:
    return np.arange(low, high + VOXEL_MM / 2, VOXEL_MM)


def _rows(edges: np.ndarray, level: np.ndarray) -> np.ndarray:
    """(m, 6): edges at these levels, beyond the lungs those at their ends."""
    return np.stack([np.interp(level, _LEVELS, column) for column in edges.T], axis=1)


def _through(at: np.ndarray, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Piecewise linear through the knots, with slope 1 beyond them."""
    inside = np.interp(at, knots, values)
    return inside + np.minimum(at - knots[0], 0) + np.maximum(at - knots[-1], 0)


@njit(cache=True)
def _resample(
    hu: np.ndarray, x_from: np.ndarray, y_from: np.ndarray, z_from: np.ndarray, shift: np.ndarray, out: np.ndarray
) -> None:
    """Trilinear look-up of every voxel of `out` in `hu`, in place.

    `x_from` (nz, nx), `y_from` (nz, ny), `z_from` (nz,) are indices into `hu`; `shift` (m, m, m, 3) is added to them,
    in voxels, on a coarse grid that spans `out`.
    """
    nx, ny, nz = out.shape
    sx, sy, sz = hu.shape
    m = shift.shape[0] - 1
    line = np.empty((m + 1, 3), np.float32)
    for i in range(nx):
        u = i * m / max(nx - 1, 1)
        a = min(int(u), m - 1)
        u = np.float32(u - a)
        for j in range(ny):
            v = j * m / max(ny - 1, 1)
            b = min(int(v), m - 1)
            v = np.float32(v - b)
            for c in range(m + 1):
                for d in range(3):
                    near = shift[a, b, c, d] * (1 - v) + shift[a, b + 1, c, d] * v
                    far = shift[a + 1, b, c, d] * (1 - v) + shift[a + 1, b + 1, c, d] * v
                    line[c, d] = near * (1 - u) + far * u
            for k in range(nz):
                w = k * m / max(nz - 1, 1)
                c = min(int(w), m - 1)
                w = np.float32(w - c)
                x = x_from[k, i] + line[c, 0] * (1 - w) + line[c + 1, 0] * w
                y = y_from[k, j] + line[c, 1] * (1 - w) + line[c + 1, 1] * w
                z = z_from[k] + line[c, 2] * (1 - w) + line[c + 1, 2] * w
                if not (-0.5 <= x <= sx - 0.5 and -0.5 <= y <= sy - 0.5 and -0.5 <= z <= sz - 0.5):
                    out[i, j, k] = AIR_HU
                    continue
                x, y, z = min(max(x, 0), sx - 1), min(max(y, 0), sy - 1), min(max(z, 0), sz - 1)
                p, q, r = min(int(x), sx - 2), min(int(y), sy - 2), min(int(z), sz - 2)
                x, y, z = x - p, y - q, z - r
                value = np.float32(0)
                for di in range(2):
                    for dj in range(2):
                        weight = (x if di else 1 - x) * (y if dj else 1 - y)
                        low, high = hu[p + di, q + dj, r], hu[p + di, q + dj, r + 1]
                        value += weight * (low * (1 - z) + high * z)
                out[i, j, k] = value
