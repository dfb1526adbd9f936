"""The two loops that cost the time: a yaw-only view of a volume, and its exact transpose.

Quadrature (Joseph, IEEE TMI 1:192, 1982): a ray is sampled once in every voxel plane across its dominant in-plane axis
(x or y), linearly between voxel centres and towards zero beyond the outermost ones; the sum is multiplied by the
length between two planes. What makes it fast: with yaw only, the rays of one detector column lie above one
another. They share their (x, y) path, so per plane two neighbouring z-lines are blended once (contiguous, vectorised),
and every row takes one linear sample of the blend.

A ray is a point a + t b with t = 0 at its start and 1 at the pixel, in padded voxels. Its in-plane part depends on the
column only and its vertical part on the row only, which holds for cone and for parallel beams alike.

Both kernels live in one file on purpose: numba's cache does not notice changes of callees in other files. They are
serial and release the GIL; callers put views on threads (numba's own parallel loops break forked processes).
"""

import numpy as np
from numba import njit

PAD = 1  # a voxel of zeros on every side, so that interpolation needs no bounds checks
TILE = 16  # detector columns worked on together: their z-lines and their sums stay in the first-level cache


def padded_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape of the zero-padded volume; a z-line takes an odd number of 64-byte cache lines.

    (A stride of 2^k bytes would send all planes to the same few cache sets.)
    """
    nx, ny, nz = shape
    blocks = -(-(nz + 2 * PAD + 1) // 16)
    return nx + 2 * PAD, ny + 2 * PAD, 16 * (blocks | 1)


def pad(volume: np.ndarray) -> np.ndarray:
    """Zero-padded float32 copy of `volume` (nx, ny, nz)."""
    nx, ny, nz = volume.shape
    padded = np.zeros(padded_shape((nx, ny, nz)), np.float32)
    unpad(padded, (nx, ny, nz))[...] = volume
    return padded


def unpad(padded: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The volume inside the padding, as a view."""
    nx, ny, nz = shape
    return padded[PAD : PAD + nx, PAD : PAD + ny, PAD : PAD + nz]


@njit(nogil=True, cache=True, inline="always")
def _rows_inside(z, dz, nz, size):
    """First and last + 1 row r with 0 <= z + r dz <= nz + 1, z in padded voxels."""
    if abs(dz) < 1e-9:
        return (0, size) if 0.0 <= z <= nz + 1.0 else (0, 0)
    low, high = -z / dz, (nz + 1.0 - z) / dz
    if low > high:
        low, high = high, low
    return int(min(max(np.ceil(low), 0.0), size)), int(max(min(np.floor(high) + 1.0, size), 0.0))


@njit(nogil=True, fastmath=True, cache=True)
def forward_view(padded, nz, view, across_x, a, b, a_lane, b_lane, az, az_step, bz, bz_step):
    """Add up the samples along every ray of one view, without the length between them.

    Args:
        padded: (nx + 2, ny + 2, >= nz + 3) float32, zero outside the volume, see `pad`.
        nz: voxels along z.
        view: (columns, rows) float32, added to.
        across_x: (columns,) bool, whether a column's rays step through planes of constant x (else y).
        a, b: (columns,) float64, the ray along the axis stepped through is a + t b.
        a_lane, b_lane: (columns,) float64, the same along the other in-plane axis.
        az, az_step, bz, bz_step: the ray of row r along z is (az + r az_step) + t (bz + r bz_step).
    """
    columns, size = view.shape
    lines, strides = padded.reshape(-1, padded.shape[2]), (padded.shape[1], 1)
    levels, slopes = np.empty(nz + 2, np.float32), np.empty(nz + 2, np.float32)
    for first in range(0, columns, TILE):
        last = min(first + TILE, columns)
        for axis in range(2):
            planes, lanes = padded.shape[axis], padded.shape[1 - axis]
            for plane in range(1, planes - 1):
                for c in range(first, last):
                    if across_x[c] != (axis == 0):
                        continue
                    t = (plane - a[c]) / b[c]
                    position = a_lane[c] + t * b_lane[c]
                    if t <= 0.0 or position < 0.0 or position >= lanes - 1:
                        continue
                    z, dz = az + t * bz, az_step + t * bz_step
                    top, bottom = _rows_inside(z, dz, nz, size)
                    if top >= bottom:
                        continue
                    lane = int(position)
                    weight = np.float32(position - lane)
                    here = plane * strides[axis] + lane * strides[1 - axis]
                    near, far = lines[here], lines[here + strides[1 - axis]]
                    # The blended line as a polyline, level + height * slope: two loads a sample instead of a blend.
                    for k in range(nz + 2):
                        below = near[k] + weight * (far[k] - near[k])
                        slope = near[k + 1] + weight * (far[k + 1] - near[k + 1]) - below
                        slopes[k] = slope
                        levels[k] = below - np.float32(k) * slope
                    sums, z32, dz32 = view[c], np.float32(z), np.float32(dz)
                    for r in range(top, bottom):
                        height = z32 + np.float32(r) * dz32
                        cell = np.uint64(np.int32(height))  # unsigned: numba need not look for negative indices
                        sums[r] += levels[cell] + height * slopes[cell]


@njit(nogil=True, fastmath=True, cache=True)
def adjoint_view(padded, nz, view, across_x, a, b, a_lane, b_lane, az, az_step, bz, bz_step):
    """Exact transpose of `forward_view`: spread the values of `view` over `padded`, which is added to.

    Values also land in the padding (in the forward direction it only ever gives zeros); `unpad` drops them.
    """
    columns, size = view.shape
    lines, strides = padded.reshape(-1, padded.shape[2]), (padded.shape[1], 1)
    values, moments = np.zeros(nz + 3, np.float32), np.zeros(nz + 3, np.float32)  # index k + 1 belongs to voxel k
    for first in range(0, columns, TILE):
        last = min(first + TILE, columns)
        for axis in range(2):
            planes, lanes = padded.shape[axis], padded.shape[1 - axis]
            for plane in range(1, planes - 1):
                for c in range(first, last):
                    if across_x[c] != (axis == 0):
                        continue
                    t = (plane - a[c]) / b[c]
                    position = a_lane[c] + t * b_lane[c]
                    if t <= 0.0 or position < 0.0 or position >= lanes - 1:
                        continue
                    z, dz = az + t * bz, az_step + t * bz_step
                    top, bottom = _rows_inside(z, dz, nz, size)
                    if top >= bottom:
                        continue
                    lane = int(position)
                    weight = np.float32(position - lane)
                    here = plane * strides[axis] + lane * strides[1 - axis]
                    near, far = lines[here], lines[here + strides[1 - axis]]
                    sums, z32, dz32 = view[c], np.float32(z), np.float32(dz)
                    # A sample at height k + f gives (1 - f) of its value to voxel k and f to voxel k + 1. Collecting
                    # value and f * value under k keeps the rows independent of each other.
                    for r in range(top, bottom):
                        height = z32 + np.float32(r) * dz32
                        cell = np.uint64(np.int32(height) + 1)
                        values[cell] += sums[r]
                        moments[cell] += sums[r] * (height - np.float32(np.int32(height)))
                    for k in range(nz + 2):
                        spread = values[k + 1] - moments[k + 1] + moments[k]
                        near[k] += spread - weight * spread
                        far[k] += weight * spread
                    values[:] = 0.0
                    moments[:] = 0.0
