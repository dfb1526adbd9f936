"""The voxels of the lungs as a list: where they are, which lobe they belong to, how deep they lie."""

from typing import NamedTuple

import numpy as np
from numba import njit

from .lobes import Fissures, lobes
from .tissues import AIR, LUNG_LEFT, LUNG_RIGHT

_PARTIAL_HU = -60.0  # a neighbour of the lung thinner than this is partly lung


class Lungs(NamedTuple):
    """The m voxels of both lungs and of their rim, in the order of the volume (C order)."""

    index: np.ndarray  # (m,) int64 into the flat volume
    mm: np.ndarray  # (m, 3) float32, where the voxel is in the room: gravity acts here
    points: np.ndarray  # (m, 3) float32, canonical mm: anatomy is here
    side: np.ndarray  # (m,) int8, +1 right, -1 left
    lobe: np.ndarray  # (m,) uint8, 1 + the position in `lobes.LOBES`
    inner: np.ndarray  # (m,) bool, False in the rim: voxels of the wall that are partly lung
    depth: np.ndarray  # (m,) float32 mm beneath the pleura, 0 in the rim


def find_lungs(
    hu: np.ndarray,
    tissue: np.ndarray,
    coarse: np.ndarray,
    coarse_step: int,
    to_canonical: np.ndarray,
    voxel: float,
    fissures: Fissures,
) -> Lungs:
    """List the lung voxels of a painted volume; `coarse`, `coarse_step` and `to_canonical` as in `painter.paint`."""
    n = hu.shape[0]
    lung = (tissue == LUNG_RIGHT) | (tissue == LUNG_LEFT)
    lung[[0, -1]] = lung[:, [0, -1]] = lung[:, :, [0, -1]] = False  # so that every voxel has its neighbours
    rows = [np.flatnonzero(lung.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not len(rows[0]):
        rows = [np.array([1])] * 3
    box = tuple(slice(max(r[0] - 1, 1), min(r[-1] + 2, n - 1)) for r in rows)
    core = lung[box]
    near = core.copy()
    for axis in range(3):
        ahead, behind = (tuple(part if a == axis else slice(None) for a in range(3)) for part in (_AHEAD, _BEHIND))
        near[ahead] |= core[behind]
        near[behind] |= core[ahead]
    near &= core | ((hu[box] < _PARTIAL_HU) & (tissue[box] != AIR))
    ijk = np.argwhere(near) + np.array([part.start for part in box])
    index = np.ravel_multi_index(tuple(ijk.T), hu.shape)
    points = _canonical(ijk, coarse, coarse_step, to_canonical)
    label = tissue.ravel()[index]
    right = np.where(label == LUNG_RIGHT, True, np.where(label == LUNG_LEFT, False, points[:, 0] > fissures.midline))
    side = np.where(right, 1, -1).astype(np.int8)
    inner = near[near] & core[near]
    return Lungs(
        index=index,
        mm=((ijk - (n - 1) / 2) * voxel).astype(np.float32),
        points=points,
        side=side,
        lobe=lobes(points, side, fissures),
        inner=inner,
        depth=_depth(index, inner, n) * np.float32(voxel),
    )


_AHEAD, _BEHIND = slice(1, None), slice(None, -1)


@njit(nogil=True, cache=True, fastmath=True)
def _canonical(ijk: np.ndarray, coarse: np.ndarray, step: int, matrix: np.ndarray) -> np.ndarray:
    """(m, 3) float32 canonical mm of voxels (m, 3), as the painter has it."""
    points = np.empty(ijk.shape, np.float32)
    for m in range(ijk.shape[0]):
        i, j, k = ijk[m]
        ci, cj, ck = i // step, j // step, k // step
        fi, fj, fk = (i % step) / step, (j % step) / step, (k % step) / step
        for axis in range(3):
            value = matrix[axis, 0] * i + matrix[axis, 1] * j + matrix[axis, 2] * k + matrix[axis, 3]
            for a in range(2):
                wa = fi if a else 1.0 - fi
                for b in range(2):
                    wb = wa * (fj if b else 1.0 - fj)
                    low, high = coarse[ci + a, cj + b, ck, axis], coarse[ci + a, cj + b, ck + 1, axis]
                    value += wb * (low + (high - low) * fk)
            points[m, axis] = value
    return points


@njit(nogil=True, cache=True)
def _depth(index: np.ndarray, inner: np.ndarray, n: int) -> np.ndarray:
    """(m,) float32 distance in voxels to the nearest voxel outside: two chamfer passes over the list (Borgefors 1986).

    The list is in C order, so that the first pass meets neighbours before a voxel and the second those after it.
    """
    steps = np.empty(13, np.int64)
    costs = np.empty(13, np.float32)
    count = 0
    for a in range(-1, 1):
        for b in range(-1, 2):
            for c in range(-1, 2):
                if (a * n + b) * n + c < 0 and count < 13:
                    steps[count] = (a * n + b) * n + c
                    costs[count] = np.sqrt(a * a + b * b + c * c)
                    count += 1
    grid = np.zeros(n * n * n, np.float32)
    for m in range(len(index)):
        if inner[m]:
            nearest = np.float32(1e6)
            for q in range(13):
                nearest = min(nearest, grid[index[m] + steps[q]] + costs[q])
            grid[index[m]] = nearest
    depth = np.empty(len(index), np.float32)
    for m in range(len(index) - 1, -1, -1):
        if inner[m]:
            nearest = grid[index[m]]
            for q in range(13):
                nearest = min(nearest, grid[index[m] - steps[q]] + costs[q])
            grid[index[m]] = nearest
        depth[m] = grid[index[m]]
    return depth
