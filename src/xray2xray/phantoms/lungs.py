"""The voxels of the lungs as a list: where they are, which lobe they belong to, how deep they lie."""

from typing import NamedTuple

import numpy as np
from numba import njit

from .lobes import Fissures, lobes
from .tissues import AIR, LUNG_LEFT, LUNG_RIGHT

_PARTIAL_HU = -60.0  # a neighbour of the lung thinner than this is partly lung


class Lungs(NamedTuple):
    """The m voxels of both lungs and of their rim, in the order of the volume (C order)."""

    voxels: np.ndarray  # (m,) int64 into the flat volume
    mm: np.ndarray  # (3, m) float32, where the voxel is in the room: gravity acts here
    side: np.ndarray  # (m,) int8, +1 right, -1 left
    lobe: np.ndarray  # (m,) uint8, 1 + the position in `lobes.LOBES`
    inner: np.ndarray  # (m,) bool, False in the rim: voxels of the wall that are partly lung


def find_lungs(
    hu: np.ndarray,
    tissue: np.ndarray,
    noise: np.ndarray,
    coarse: np.ndarray,
    coarse_step: int,
    to_canonical: np.ndarray,
    voxel: float,
    fissures: Fissures,
) -> Lungs:
    """List the lung voxels of a painted volume; `coarse`, `coarse_step` and `to_canonical` as in `painter.paint`.

    The texture `noise` (n, n, n) roughens the fissures by the size of a voxel (mm), which also smooths their edges.
    """
    n = hu.shape[0]
    lung = (tissue == LUNG_RIGHT) | (tissue == LUNG_LEFT)
    sides = [np.flatnonzero(lung.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    box = np.array([(max(s[0] - 1, 1), min(s[-1] + 2, n - 1)) if len(s) else (1, 1) for s in sides])
    ijk = _list(hu, tissue, box)
    index = np.ravel_multi_index(tuple(ijk), hu.shape)
    points = _canonical(ijk, coarse, coarse_step, to_canonical)
    points[2] += np.float32(0.6 * voxel) * noise.ravel()[index]
    label = tissue.ravel()[index]
    inner = (label == LUNG_RIGHT) | (label == LUNG_LEFT)
    right = (label == LUNG_RIGHT) | (~inner & (points[0] > fissures.midline))
    side = np.where(right, np.int8(1), np.int8(-1))
    mm = (ijk.astype(np.float32) - np.float32((n - 1) / 2)) * np.float32(voxel)
    return Lungs(voxels=index, mm=mm, side=side, lobe=lobes(points, side, fissures), inner=inner)


@njit(nogil=True, cache=True)
def _list(hu: np.ndarray, tissue: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(3, m) int32 place of every voxel that is lung, or beside lung and partly lung, within a box (3, 2)."""
    found = np.empty((3, np.prod(box[:, 1] - box[:, 0])), np.int32)
    count = 0
    for i in range(box[0, 0], box[0, 1]):
        for j in range(box[1, 0], box[1, 1]):
            for k in range(box[2, 0], box[2, 1]):
                take = LUNG_RIGHT <= tissue[i, j, k] <= LUNG_LEFT
                if not take and hu[i, j, k] < _PARTIAL_HU and tissue[i, j, k] != AIR:
                    take = (
                        LUNG_RIGHT <= tissue[i, j, k - 1] <= LUNG_LEFT
                        or LUNG_RIGHT <= tissue[i, j, k + 1] <= LUNG_LEFT
                        or LUNG_RIGHT <= tissue[i, j - 1, k] <= LUNG_LEFT
                        or LUNG_RIGHT <= tissue[i, j + 1, k] <= LUNG_LEFT
                        or LUNG_RIGHT <= tissue[i - 1, j, k] <= LUNG_LEFT
                        or LUNG_RIGHT <= tissue[i + 1, j, k] <= LUNG_LEFT
                    )
                if take:
                    found[0, count], found[1, count], found[2, count] = i, j, k
                    count += 1
    return found[:, :count].copy()


@njit(nogil=True, cache=True, fastmath=True)
def _canonical(ijk: np.ndarray, coarse: np.ndarray, step: int, matrix: np.ndarray) -> np.ndarray:
    """(3, m) float32 canonical mm of voxels (3, m), as the painter has it."""
    points = np.empty(ijk.shape, np.float32)
    for m in range(ijk.shape[1]):
        i, j, k = ijk[0, m], ijk[1, m], ijk[2, m]
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
            points[axis, m] = value
    return points


@njit(nogil=True, cache=True)
def depth(index: np.ndarray, inner: np.ndarray, n: int) -> np.ndarray:
    """(m,) float32 distance, in voxels, of the voxels of a list to the pleura; 0 in the rim.

    Two chamfer passes (Borgefors, CVGIP 34:344, 1986; in 3D 27:321, 1984) over the list in place of the volume: it is
    in C order, so that the first pass meets a voxel after the neighbours before it, and the second after the others.
    Steps weigh their Euclidean lengths.
    """
    steps = np.empty(13, np.int64)
    costs = np.empty(13, np.float32)
    count = 0
    for a in range(-1, 1):
        for b in range(-1, 2):
            for c in range(-1, 2):
                if (a * n + b) * n + c < 0:
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
    deep = np.empty(len(index), np.float32)
    for m in range(len(index) - 1, -1, -1):
        nearest = grid[index[m]]
        if inner[m]:
            for q in range(13):
                nearest = min(nearest, grid[index[m] - steps[q]] + costs[q])
            grid[index[m]] = nearest
        deep[m] = nearest
    return deep
