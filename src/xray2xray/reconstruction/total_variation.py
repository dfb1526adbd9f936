"""Total variation: the volume nearest to a given one whose edges, all together, are less.

Between two passes over the views it removes the streaks of few views, which are edges everywhere, and keeps organs,
which are flat with edges at few places.
"""

from itertools import pairwise

import numpy as np
from numba import njit

from ..parallel.threads import on_threads, workers

INNER_ITERATIONS = 20  # the volume changes between two calls by more than what further ones would add


def reduce_variation(
    volume: np.ndarray, weight: float, iterations: int = INNER_ITERATIONS, threads: int | None = None
) -> np.ndarray:
    """argmin_x |x - volume|^2 / 2 + weight TV(x), float32 of the volume's shape and unit.

    TV(x) is the sum over voxels of the length of (x_i+1 - x_i, x_j+1 - x_j, x_k+1 - x_k), isotropic and per voxel
    whatever its size; nothing is seen beyond the border. Fast gradient projection on the dual problem (Beck and
    Teboulle, IEEE TIP 18:2419, 2009, algorithm FGP without bounds), in 3-D, so the step is 1 / (12 weight).

    Args:
        volume: (nx, ny, nz).
        weight: in the unit of the volume; an isolated voxel loses five times as much, a wide plateau hardly any. 0
            changes nothing.
        iterations: of the dual problem.
        threads: all cores by default.
    """
    volume = np.ascontiguousarray(volume, np.float32)
    if weight <= 0 or volume.size == 0:
        return volume.copy()
    dual = np.zeros((3, *volume.shape), np.float32)
    ahead = np.zeros_like(dual)  # the dual point extrapolated by momentum
    result = np.empty_like(volume)
    cuts = np.linspace(0, len(volume), min(workers(threads), len(volume)) + 1).astype(int)
    slabs = list(pairwise(cuts.tolist()))
    weight32, step = np.float32(weight), np.float32(1 / (12 * weight))
    t = 1.0
    for _ in range(iterations):
        following = (1 + np.sqrt(1 + 4 * t * t)) / 2
        momentum = np.float32((t - 1) / following)
        on_threads(lambda slab: _primal(result, volume, ahead, weight32, *slab), slabs, threads)
        on_threads(lambda slab: _ascend(dual, ahead, result, step, momentum, *slab), slabs, threads)  # noqa: B023
        t = following
    on_threads(lambda slab: _primal(result, volume, dual, weight32, *slab), slabs, threads)
    return result


@njit(nogil=True, cache=True, fastmath=True)
def _primal(result, volume, dual, weight, first, last):  # type: ignore[no-untyped-def]
    """result = volume - weight L dual on planes first..last-1; L is minus the divergence."""
    _, ny, nz = volume.shape
    for i in range(first, last):
        for j in range(ny):
            out, x, y, z = result[i, j], dual[0, i, j], dual[1, i, j], dual[2, i, j]
            for k in range(nz):
                out[k] = x[k] + y[k] + z[k]
            for k in range(1, nz):
                out[k] -= z[k - 1]
            if i > 0:
                before = dual[0, i - 1, j]
                for k in range(nz):
                    out[k] -= before[k]
            if j > 0:
                before = dual[1, i, j - 1]
                for k in range(nz):
                    out[k] -= before[k]
            given = volume[i, j]
            for k in range(nz):
                out[k] = given[k] - weight * out[k]


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _ascend(dual, ahead, primal, step, momentum, first, last):  # type: ignore[no-untyped-def]
    """One projected gradient step of the dual from `ahead`, and the next `ahead`, on planes first..last-1."""
    nx, ny, nz = primal.shape
    one = np.float32(1)
    for i in range(first, last):
        for j in range(ny):
            here = primal[i, j]
            # the last plane and line have no neighbour: themselves, so that the difference is 0
            right, front = primal[min(i + 1, nx - 1), j], primal[i, min(j + 1, ny - 1)]
            x, y, z = dual[0, i, j], dual[1, i, j], dual[2, i, j]
            ax, ay, az = ahead[0, i, j], ahead[1, i, j], ahead[2, i, j]
            for k in range(nz - 1):
                gx = ax[k] + step * (here[k] - right[k])
                gy = ay[k] + step * (here[k] - front[k])
                gz = az[k] + step * (here[k] - here[k + 1])
                shrink = one / np.sqrt(max(one, gx * gx + gy * gy + gz * gz))
                gx, gy, gz = gx * shrink, gy * shrink, gz * shrink
                ax[k] = gx + momentum * (gx - x[k])
                ay[k] = gy + momentum * (gy - y[k])
                az[k] = gz + momentum * (gz - z[k])
                x[k], y[k], z[k] = gx, gy, gz
            k = nz - 1
            gx = ax[k] + step * (here[k] - right[k])
            gy = ay[k] + step * (here[k] - front[k])
            shrink = one / np.sqrt(max(one, gx * gx + gy * gy))
            gx, gy = gx * shrink, gy * shrink
            ax[k] = gx + momentum * (gx - x[k])
            ay[k] = gy + momentum * (gy - y[k])
            x[k], y[k] = gx, gy
