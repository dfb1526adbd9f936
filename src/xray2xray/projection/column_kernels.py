"""The two loops that cost the time: upright views of a volume, and their exact transpose.

Quadrature (Joseph, IEEE TMI 1:192, 1982): a ray is sampled once in every voxel plane across its dominant in-plane axis
(x or y), linearly between voxel centres and towards zero beyond the outermost ones; the sum is multiplied by the
length between two planes, which is left to the caller. Three things make it fast:

- With neither pitch nor roll the rays of a detector column lie above one another. They share their (x, y) path, so per
  plane two neighbouring z-lines are blended once, and every row takes one linear sample of the blend.
- Heights of successive rows are about one voxel apart (`columns` sees to it). `LANES` of them therefore fall into
  `LANES` successive voxels, give or take a little *drift*: lane i reads at voxel base + i and corrects for its
  offset d from there with the slopes of the polyline, level + sum_j clamp(d - j, 0, 1) slope_j. Loads are contiguous
  where other projectors gather. (Pixels far from the size of a voxel drift too much; a plain loop serves them.)
- Planes are worked through in slabs that stay in the second-level cache while all views pass over them.

A ray is a point a + t b with t = 0 at its start and 1 at the pixel, in voxels. Its in-plane part depends on the column
only and its vertical part on the row only, which holds for cone and for parallel beams alike.

Kernels and vector operations share one file on purpose: numba's cache does not notice changes of callees in other
files. The kernels are serial and release the interpreter lock.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

LANES = 8  # values worked on together: one AVX2 register, half an AVX-512 one, two of NEON
MARGIN = 16  # zeros before and after every z-line and every detector column, so that whole blocks can be read
TILE = 16  # detector columns worked on together: their z-lines and their sums stay in the first-level cache
SLAB_BYTES = 1 << 20  # of the volume, worked on with all views before moving on: about the second-level cache


class ColumnRays(NamedTuple):
    """The rays of upright views on one grid; `v` counts views, `c` columns, `r` rows, all float64 but `across_x`.

    In the plane: column (v, c) runs along a + t b across the planes of its axis (x where `across_x`, else y) and along
    a_lane + t b_lane beside it. In height: row r is at (az[v] + r az_step) + t (bz[v] + r bz_step).
    """

    across_x: np.ndarray
    a: np.ndarray
    b: np.ndarray
    a_lane: np.ndarray
    b_lane: np.ndarray
    az: np.ndarray
    bz: np.ndarray
    az_step: float
    bz_step: float


_FLOAT = ir.FloatType()
_LANES = ir.VectorType(_FLOAT, LANES)


class _Lanes:
    """Writes arithmetic on `LANES` floats as LLVM's own portable vector instructions, which numba has no words for."""

    def __init__(self, builder):
        self.builder = builder

    def constant(self, values) -> ir.Constant:
        return ir.Constant(_LANES, [float(v) for v in np.broadcast_to(values, LANES)])

    def fill(self, scalar):
        nothing, index = ir.Constant(_LANES, ir.Undefined), ir.IntType(32)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(index, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(index, LANES), [0] * LANES))

    def _address(self, address, offset):
        element = self.builder.gep(
            self.builder.inttoptr(address, _FLOAT.as_pointer()), [ir.Constant(ir.IntType(64), offset)]
        )
        return self.builder.bitcast(element, _LANES.as_pointer())

    def load(self, address, offset=0):
        return self.builder.load(self._address(address, offset), align=4)

    def store(self, value, address):
        self.builder.store(value, self._address(address, 0), align=4)

    def add(self, x, y):
        return self.builder.fadd(x, y, flags=("fast",))

    def subtract(self, x, y):
        return self.builder.fsub(x, y, flags=("fast",))

    def multiply(self, x, y):
        return self.builder.fmul(x, y, flags=("fast",))

    def smaller(self, x, y):
        return self.builder.select(self.builder.fcmp_ordered("<", x, y, flags=("fast",)), x, y)

    def larger(self, x, y):
        return self.builder.select(self.builder.fcmp_ordered(">", x, y, flags=("fast",)), x, y)


def _sampler(slopes: int):
    """An intrinsic: LANES sums += samples of the polyline, which reach over `slopes` of its pieces."""

    @intrinsic
    def add_samples(context, sums, levels, steps, offset, drift):
        signature = types.void(types.uintp, types.uintp, types.uintp, types.float32, types.float32)

        def generate(target, builder, signature, arguments):
            sums, levels, steps, offset, drift = arguments
            do = _Lanes(builder)
            rest = do.add(do.fill(offset), do.multiply(do.constant(np.arange(LANES)), do.fill(drift)))
            total = do.add(do.load(sums), do.load(levels))
            for piece in range(slopes - 1):
                inside = do.smaller(rest, do.constant(1))
                rest = do.subtract(rest, inside)
                total = do.add(total, do.multiply(inside, do.load(steps, piece)))
            do.store(do.add(total, do.multiply(rest, do.load(steps, slopes - 1))), sums)
            return target.get_dummy_value()

        return signature, generate

    return add_samples


def _collector(taps: int):
    """An intrinsic: LANES voxels += what `taps` rows about each give it; row j gives max(0, 1 - pitch |offset - j|)."""

    @intrinsic
    def collect_rows(context, voxels, rows, offset, drift, pitch):
        signature = types.void(types.uintp, types.uintp, types.float32, types.float32, types.float32)

        def generate(target, builder, signature, arguments):
            voxels, rows, offset, drift, pitch = arguments
            do = _Lanes(builder)
            pitch = do.fill(pitch)
            at = do.add(do.fill(offset), do.multiply(do.constant(np.arange(LANES)), do.fill(drift)))
            total = do.load(voxels)
            for row in range(taps):
                away = do.subtract(at, do.constant(row))
                away = do.larger(away, do.subtract(do.constant(0), away))
                weight = do.larger(do.subtract(do.constant(1), do.multiply(pitch, away)), do.constant(0))
                total = do.add(total, do.multiply(weight, do.load(rows, row)))
            do.store(total, voxels)
            return target.get_dummy_value()

        return signature, generate

    return collect_rows


_samples_2, _samples_3, _samples_4 = _sampler(2), _sampler(3), _sampler(4)
_collect_3, _collect_4, _collect_8 = _collector(3), _collector(4), _collector(8)


@njit(nogil=True, fastmath=True, cache=True)
def _place(rays, v, c, plane, lanes):
    """How column c of view v meets a plane.

    Returns:
        whether it meets it beyond the source and beside a voxel; the lane before it and the share of the next one; the
        height of row 0 and the step from row to row.
    """
    t = (plane - rays.a[v, c]) / rays.b[v, c]
    position = rays.a_lane[v, c] + t * rays.b_lane[v, c]
    lane = int(np.floor(position))
    met = t > 0.0 and position > -1.0 and position < lanes
    return met, lane, np.float32(position - lane), rays.az[v] + t * rays.bz[v], rays.az_step + t * rays.bz_step


@njit(nogil=True, fastmath=True, cache=True)
def _rows_inside(z, dz, nz, rows):
    """First and last + 1 row r with -1 <= z + r dz <= nz, where dz > 0."""
    first, last = np.ceil((-1.0 - z) / dz), np.floor((nz - z) / dz) + 1.0
    return int(min(max(first, 0.0), rows)), int(max(min(last, rows), 0.0))


@njit(nogil=True, fastmath=True, cache=True)
def _sample(sums, levels, slopes, z, dz):
    """Add to row r the polyline's value at height z + r dz; `levels` and `slopes` begin with their margin."""
    top, bottom = _rows_inside(z, dz, len(levels) - 2 * MARGIN, len(sums))
    drift = (LANES - 1) * (dz - 1.0)
    if abs(drift) > 3.0:
        for r in range(top, bottom):
            height = z + r * dz + MARGIN
            k = int(height)
            sums[r] += levels[k] + np.float32(height - k) * slopes[k]
        return
    lane_drift, lowest = np.float32(dz - 1.0), min(0.0, drift)
    at_sums, at_levels, at_slopes = sums.ctypes.data, levels.ctypes.data, slopes.ctypes.data
    for r in range(top // LANES * LANES, bottom, LANES):
        height = z + r * dz + MARGIN
        base = int(height + lowest)
        offset = np.float32(height - base)
        target, level, slope = np.uintp(at_sums + 4 * r), np.uintp(at_levels + 4 * base), np.uintp(at_slopes + 4 * base)
        if abs(drift) <= 1.0:
            _samples_2(target, level, slope, offset, lane_drift)
        elif abs(drift) <= 2.0:
            _samples_3(target, level, slope, offset, lane_drift)
        else:
            _samples_4(target, level, slope, offset, lane_drift)


@njit(nogil=True, fastmath=True, cache=True)
def _collect(line, values, z, dz, low, high):
    """Transpose of `_sample`, to voxels `low` to `high` - 1; `line` and `values` begin with their margin."""
    drift = (LANES - 1) * (1.0 / dz - 1.0)
    taps = abs(drift) + 2.0 / dz
    if taps > 8.0 or dz > 2.0:
        top, bottom = _rows_inside(z, dz, len(line) - 2 * MARGIN, len(values) - 2 * MARGIN)
        for r in range(top, bottom):
            height = z + r * dz + MARGIN
            k = int(height)
            share = np.float32(height - k)
            line[k] += (np.float32(1.0) - share) * values[MARGIN + r]
            line[k + 1] += share * values[MARGIN + r]
        return
    lane_drift, pitch, earliest = np.float32(1.0 / dz - 1.0), np.float32(dz), min(0.0, drift) - 1.0 / dz
    at_line, at_values = line.ctypes.data, values.ctypes.data
    for k in range(low, high, LANES):
        row = (k - z) / dz + MARGIN
        base = int(row + earliest) + 1
        offset = np.float32(row - base)
        target, source = np.uintp(at_line + 4 * (MARGIN + k)), np.uintp(at_values + 4 * base)
        if taps <= 3.0:
            _collect_3(target, source, offset, lane_drift, pitch)
        elif taps <= 4.0:
            _collect_4(target, source, offset, lane_drift, pitch)
        else:
            _collect_8(target, source, offset, lane_drift, pitch)


@njit(nogil=True, fastmath=True, cache=True)
def forward_columns(volume, sums, rays, axis):
    """Add up the samples along the rays that cross planes of `axis` (0: x, 1: y), without the length between them.

    Args:
        volume: (nx, ny, nz) float32, contiguous.
        sums: (views, columns, phases, rows) float32, added to; rows are a multiple of LANES. Row r of phase p is the
            detector's row r phases + p, counted in the direction of growing z.
        rays: `ColumnRays`.
        axis: 0 or 1.
    """
    views, columns, phases, _ = sums.shape
    ny, nz = volume.shape[1:]
    planes, lanes = volume.shape[axis], volume.shape[1 - axis]
    lines, plane_stride, lane_stride = volume.reshape(-1, nz), (ny, 1)[axis], (1, ny)[axis]
    nothing = np.zeros(nz, np.float32)
    levels, slopes = np.zeros(nz + 2 * MARGIN, np.float32), np.zeros(nz + 2 * MARGIN, np.float32)
    slab = max(1, SLAB_BYTES // (4 * nz * lanes))
    for first_plane in range(0, planes, slab):
        for v in range(views):
            for first in range(0, columns, TILE):
                for plane in range(first_plane, min(first_plane + slab, planes)):
                    for c in range(first, min(first + TILE, columns)):
                        if rays.across_x[v, c] != (axis == 0):
                            continue
                        met, lane, share, z, row_step = _place(rays, v, c, plane, lanes)
                        if not met:
                            continue
                        here = plane * plane_stride + lane * lane_stride
                        near = lines[here] if lane >= 0 else nothing
                        far = lines[here + lane_stride] if lane + 1 < lanes else nothing
                        for k in range(nz):
                            levels[MARGIN + k] = near[k] + share * (far[k] - near[k])
                        for k in range(MARGIN - 1, MARGIN + nz):
                            slopes[k] = levels[k + 1] - levels[k]
                        for p in range(phases):
                            _sample(sums[v, c, p], levels, slopes, z + p * row_step, phases * row_step)


@njit(nogil=True, fastmath=True, cache=True)
def adjoint_columns(volume, values, rays, axis, first_plane, last_plane):
    """Exact transpose of `forward_columns`: spread `values` over planes `first_plane` to `last_plane` - 1 of `volume`.

    Planes share no voxel, so threads may work on different ones at the same time.

    Args:
        volume: (nx, ny, nz) float32, contiguous, added to.
        values: (views, columns, phases, MARGIN + rows + MARGIN) float32, zero in the margins.
        rays, axis: as for `forward_columns`.
        first_plane, last_plane: the planes of `axis` to fill.
    """
    views, columns, phases, rows = values.shape
    ny, nz = volume.shape[1:]
    lanes = volume.shape[1 - axis]
    lines, plane_stride, lane_stride = volume.reshape(-1, nz), (ny, 1)[axis], (1, ny)[axis]
    line = np.zeros(nz + 2 * MARGIN, np.float32)
    slab = max(1, SLAB_BYTES // (4 * nz * lanes))
    for first_of_slab in range(first_plane, last_plane, slab):
        for v in range(views):
            for first in range(0, columns, TILE):
                for plane in range(first_of_slab, min(first_of_slab + slab, last_plane)):
                    for c in range(first, min(first + TILE, columns)):
                        if rays.across_x[v, c] != (axis == 0):
                            continue
                        met, lane, share, z, row_step = _place(rays, v, c, plane, lanes)
                        dz = phases * row_step
                        low = int(max(np.ceil(z - 1.0), 0.0))
                        high = int(min(np.floor(z + (rows - 2 * MARGIN) * dz) + 2.0, nz))
                        if not met or low >= high:
                            continue
                        line[:] = 0.0
                        for p in range(phases):
                            _collect(line, values[v, c, p], z + p * row_step, dz, low, high)
                        here = plane * plane_stride + lane * lane_stride
                        if lane >= 0:
                            near = lines[here]
                            for k in range(low, high):
                                near[k] += (np.float32(1.0) - share) * line[MARGIN + k]
                        if lane + 1 < lanes:
                            far = lines[here + lane_stride]
                            for k in range(low, high):
                                far[k] += share * line[MARGIN + k]
