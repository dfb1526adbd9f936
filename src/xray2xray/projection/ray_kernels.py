"""Rays of any pose through a grid of any orientation, one by one, and the exact transpose.

The quadrature is that of `column_kernels`; only nothing is shared between rays. A detector column is stepped through
plane by plane, all its rays together: they lie near one another, so what one ray has loaded serves the next.

Both kernels live in one file on purpose: numba's cache does not notice changes of callees in other files. They are
serial and release the interpreter lock.
"""

import numpy as np
from numba import njit

PAD = 1  # a voxel of zeros on every side, so that interpolation needs no bounds checks


def padded_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape of the zero-padded volume; a z-line takes an odd number of 64-byte cache lines.

    (A stride of 2^k bytes would send all planes to the same few cache sets.)
    """
    nx, ny, nz = shape
    blocks = -(-(nz + 2 * PAD + 1) // 16)
    return nx + 2 * PAD, ny + 2 * PAD, 16 * (blocks | 1)


def unpad(padded: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The volume inside the padding, as a view."""
    nx, ny, nz = shape
    return padded[PAD : PAD + nx, PAD : PAD + ny, PAD : PAD + nz]


def pad(volume: np.ndarray) -> np.ndarray:
    """Zero-padded float32 copy of `volume` (nx, ny, nz)."""
    nx, ny, nz = volume.shape
    padded = np.zeros(padded_shape((nx, ny, nz)), np.float32)
    unpad(padded, (nx, ny, nz))[...] = volume
    return padded


@njit(nogil=True, cache=True, inline="always")
def _inside(at, step, size, first, last):
    """The planes of [first, last) in which 0 <= at + plane step < size - 1; a sample just short of that end is zero."""
    end = size - 1 - 1e-6
    if abs(step) < 1e-12:
        return (first, last) if 0.0 <= at <= end else (first, first)
    low, high = -at / step, (end - at) / step
    if low > high:
        low, high = high, low
    return max(first, int(np.ceil(max(low, -1.0)))), min(last, int(np.floor(min(max(high, -1.0), 1e9))) + 1)


@njit(nogil=True, cache=True, inline="always")
def _prepare(padded, nz, start, run, axes, axis, u, v, track, planes):
    """Where the rays of a column that cross `axis` are in plane 0, how far they move per plane, which planes they meet.

    Returns the first and the last + 1 plane that any of them meets.
    """
    sizes = (padded.shape[0], padded.shape[1], nz + 2 * PAD)
    earliest, latest = sizes[axis], 0
    for r in range(len(start)):
        planes[r, 0], planes[r, 1] = 0, 0
        if axes[r] != axis:
            continue
        source, du, dv = start[r, axis], run[r, u] / run[r, axis], run[r, v] / run[r, axis]
        at_u, at_v = start[r, u] - source * du, start[r, v] - source * dv
        first, last = PAD, sizes[axis] - PAD
        # t > 0: only what lies on the detector's side of the source
        if run[r, axis] > 0:
            first = max(first, int(np.floor(max(source, -1.0))) + 1)
        else:
            last = min(last, int(np.ceil(max(source, -1.0))))
        first, last = _inside(at_u, du, sizes[u], first, last)
        first, last = _inside(at_v, dv, sizes[v], first, last)
        if first < last:
            track[r, 0], track[r, 1], track[r, 2], track[r, 3] = at_u, du, at_v, dv
            planes[r, 0], planes[r, 1] = first, last
            earliest, latest = min(earliest, first), max(latest, last)
    return earliest, latest


@njit(nogil=True, fastmath=True, cache=True, inline="always")
def _cell(track, r, plane, plane_stride, u_stride, v_stride):
    """Where ray r meets a plane: the index of the voxel before it, and how far it is on the way to the next ones."""
    at_u, at_v = track[r, 0] + plane * track[r, 1], track[r, 2] + plane * track[r, 3]
    u, v = int(at_u), int(at_v)
    corner = np.uint64(plane * plane_stride + u * u_stride + v * v_stride)
    return corner, np.float32(at_u - u), np.float32(at_v - v)


@njit(nogil=True, fastmath=True, cache=True)
def forward_rays(padded, nz, sums, start, run, axes):
    """Add up the samples along every ray of one view, without the length between them.

    Args:
        padded: see `pad`.
        nz: voxels along z.
        sums: (columns, rows) float32, added to.
        start, run: (columns, rows, 3) float64, a ray is start + t run in padded voxels.
        axes: (columns, rows) int8, the axis whose planes a ray steps through.
    """
    columns, rows = sums.shape
    strides = (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
    flat = padded.reshape(-1)
    track, planes = np.empty((rows, 4)), np.empty((rows, 2), np.int64)
    for axis in range(3):
        u, v = (1 if axis == 0 else 0), (1 if axis == 2 else 2)
        u_stride, v_stride = np.uint64(strides[u]), np.uint64(strides[v])
        for c in range(columns):
            first, last = _prepare(padded, nz, start[c], run[c], axes[c], axis, u, v, track, planes)
            for plane in range(first, last):
                for r in range(rows):
                    if plane < planes[r, 0] or plane >= planes[r, 1]:
                        continue
                    corner, fu, fv = _cell(track, r, plane, strides[axis], strides[u], strides[v])
                    beside = corner + u_stride
                    near = flat[corner] + fv * (flat[corner + v_stride] - flat[corner])
                    far = flat[beside] + fv * (flat[beside + v_stride] - flat[beside])
                    sums[c, r] += near + fu * (far - near)


@njit(nogil=True, fastmath=True, cache=True)
def adjoint_rays(padded, nz, values, start, run, axes):
    """Exact transpose of `forward_rays`: spread `values` (columns, rows) over `padded`, which is added to.

    Values also land in the padding (in the forward direction it only ever gives zeros); `unpad` drops them.
    """
    columns, rows = values.shape
    strides = (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
    flat = padded.reshape(-1)
    track, planes = np.empty((rows, 4)), np.empty((rows, 2), np.int64)
    for axis in range(3):
        u, v = (1 if axis == 0 else 0), (1 if axis == 2 else 2)
        u_stride, v_stride = np.uint64(strides[u]), np.uint64(strides[v])
        for c in range(columns):
            first, last = _prepare(padded, nz, start[c], run[c], axes[c], axis, u, v, track, planes)
            for plane in range(first, last):
                for r in range(rows):
                    if plane < planes[r, 0] or plane >= planes[r, 1]:
                        continue
                    corner, fu, fv = _cell(track, r, plane, strides[axis], strides[u], strides[v])
                    beside = corner + u_stride
                    far = fu * values[c, r]
                    near = values[c, r] - far
                    flat[corner] += near - fv * near
                    flat[corner + v_stride] += fv * near
                    flat[beside] += far - fv * far
                    flat[beside + v_stride] += fv * far
