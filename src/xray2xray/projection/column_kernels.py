"""The two loops that cost the time: upright views of a volume, and their exact transpose.

Quadrature (Joseph, IEEE TMI 1:192, 1982): a ray is sampled once in every voxel plane across its dominant in-plane axis
(x or y), linearly between voxel centres and towards zero beyond the outermost ones; the sum is multiplied by the
length between two planes, which is left to the caller. Three things make it fast:

- With neither pitch nor roll the rays of a detector column lie above one another. They share their (x, y) path, so per
  plane two neighbouring z-lines are blended once, and every row takes one linear sample of the blend.
- Heights of successive rows are about one voxel apart (`columns` sees to it). `LANES` of them therefore fall into
  `LANES` successive voxels, give or take a little *drift*: lane i reads at voxel base + i and corrects for its
  offset d from there with the slopes of the polyline, level + sum_j clamp(d - j, 0, 1) slope_j. Loads are contiguous
  where other projectors gather.
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
_DRIFT = 3.0  # voxels over LANES rows; beyond it a plain loop takes over (detector pixels far from voxel size)


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


@njit(nogil=True, cache=True, inline="always")
def _rows_inside(z, dz, nz, rows):
    """First and last + 1 row r with -1 <= z + r dz <= nz, where dz > 0."""
    first, last = np.ceil((-1.0 - z) / dz), np.floor((nz - z) / dz) + 1.0
    return int(min(max(first, 0.0), rows)), int(max(min(last, rows), 0.0))


@njit(nogil=True, fastmath=True, cache=True)
def forward_columns(volume, sums, rays, axis):
    """Add up the samples along the rays that cross planes of `axis` (0: x, 1: y), without the length between them.

    Args:
        volume: (nx, ny, nz) float32, contiguous.
        sums: (views, columns, phases, rows) float32, added to; rows are a multiple of LANES. Row `r` of phase `p` is
            the detector's row r phases + p, counted in the direction of growing z.
        rays: `ColumnRays`.
        axis: 0 or 1.
    """
    views, columns, phases, rows = sums.shape
    ny, nz = volume.shape[1:]
    planes, lanes = volume.shape[axis], volume.shape[1 - axis]
    lines, plane_stride, lane_stride = volume.reshape(-1, nz), (ny, 1)[axis], (1, ny)[axis]
    nothing = np.zeros(nz, np.float32)
    levels, slopes = np.zeros(nz + 2 * MARGIN, np.float32), np.zeros(nz + 2 * MARGIN, np.float32)
    level_address, slope_address = np.uintp(levels.ctypes.data), np.uintp(slopes.ctypes.data)
    slab = max(1, SLAB_BYTES // (4 * nz * lanes))
    for first_plane in range(0, planes, slab):
        for v in range(views):
            for first in range(0, columns, TILE):
                for plane in range(first_plane, min(first_plane + slab, planes)):
                    for c in range(first, min(first + TILE, columns)):
                        if rays.across_x[v, c] != (axis == 0):
                            continue
                        t = (plane - rays.a[v, c]) / rays.b[v, c]
                        position = rays.a_lane[v, c] + t * rays.b_lane[v, c]
                        if t <= 0.0 or position <= -1.0 or position >= lanes:
                            continue
                        row_step = rays.az_step + t * rays.bz_step
                        dz = phases * row_step
                        lane = int(np.floor(position))
                        weight = np.float32(position - lane)
                        here = plane * plane_stride + lane * lane_stride
                        near = lines[here] if lane >= 0 else nothing
                        far = lines[here + lane_stride] if lane + 1 < lanes else nothing
                        for k in range(nz):
                            levels[MARGIN + k] = near[k] + weight * (far[k] - near[k])
                        for k in range(MARGIN - 1, MARGIN + nz):
                            slopes[k] = levels[k + 1] - levels[k]
                        drift = (LANES - 1) * (dz - 1.0)
                        lowest = min(0.0, drift) + MARGIN
                        lane_drift = np.float32(dz - 1.0)
                        for p in range(phases):
                            z = rays.az[v] + t * rays.bz[v] + p * row_step
                            top, bottom = _rows_inside(z, dz, nz, rows)
                            if abs(drift) > _DRIFT:
                                for r in range(top, bottom):
                                    height = z + r * dz + MARGIN
                                    k = int(height)
                                    sums[v, c, p, r] += levels[k] + np.float32(height - k) * slopes[k]
                                continue
                            sum_address = np.uintp(sums[v, c, p].ctypes.data)
                            for r in range(top // LANES * LANES, bottom, LANES):
                                height = z + r * dz
                                base = int(height + lowest)
                                offset = np.float32(height + MARGIN - base)
                                target, cell = sum_address + np.uintp(4 * r), np.uintp(4 * base)
                                if abs(drift) <= 1.0:
                                    _samples_2(target, level_address + cell, slope_address + cell, offset, lane_drift)
                                elif abs(drift) <= 2.0:
                                    _samples_3(target, level_address + cell, slope_address + cell, offset, lane_drift)
                                else:
                                    _samples_4(target, level_address + cell, slope_address + cell, offset, lane_drift)


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
    rows -= 2 * MARGIN
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
                        t = (plane - rays.a[v, c]) / rays.b[v, c]
                        position = rays.a_lane[v, c] + t * rays.b_lane[v, c]
                        if t <= 0.0 or position <= -1.0 or position >= lanes:
                            continue
                        row_step = rays.az_step + t * rays.bz_step
                        dz = phases * row_step
                        z = rays.az[v] + t * rays.bz[v]
                        low = int(max(np.ceil(z - 1.0), 0.0))
                        high = int(min(np.floor(z + rows * dz) + 2.0, nz))
                        if low >= high:
                            continue
                        line[:] = 0.0
                        pitch = np.float32(dz)
                        drift = (LANES - 1) * (1.0 / dz - 1.0)
                        lane_drift = np.float32(1.0 / dz - 1.0)
                        taps = abs(drift) + 2.0 / dz
                        for p in range(phases):
                            at = z + p * row_step
                            if taps > 8.0 or dz > 2.0:
                                top, bottom = _rows_inside(at, dz, nz, rows)
                                for r in range(top, bottom):
                                    height = at + r * dz + MARGIN
                                    k = int(height)
                                    given = values[v, c, p, MARGIN + r]
                                    line[k] += (1.0 - np.float32(height - k)) * given
                                    line[k + 1] += np.float32(height - k) * given
                                continue
                            row_address = np.uintp(values[v, c, p].ctypes.data)
                            line_address = np.uintp(line.ctypes.data)
                            for k in range(low, high, LANES):
                                row = (k - at) / dz + MARGIN
                                base = int(row + min(0.0, drift) - 1.0 / dz) + 1
                                offset = np.float32(row - base)
                                source, target = (
                                    row_address + np.uintp(4 * base),
                                    line_address + np.uintp(4 * (MARGIN + k)),
                                )
                                if taps <= 3.0:
                                    _collect_3(target, source, offset, lane_drift, pitch)
                                elif taps <= 4.0:
                                    _collect_4(target, source, offset, lane_drift, pitch)
                                else:
                                    _collect_8(target, source, offset, lane_drift, pitch)
                        lane = int(np.floor(position))
                        weight = np.float32(position - lane)
                        here = plane * plane_stride + lane * lane_stride
                        if lane >= 0:
                            near = lines[here]
                            for k in range(low, high):
                                near[k] += (np.float32(1) - weight) * line[MARGIN + k]
                        if lane + 1 < lanes:
                            far = lines[here + lane_stride]
                            for k in range(low, high):
                                far[k] += weight * line[MARGIN + k]
