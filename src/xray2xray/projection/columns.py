"""Backend `columns`: upright poses on a grid along the body axes, the fast path. The loops are in `column_kernels`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import column_kernels as kernels
from .geometry import Geometry, Pose, fan_mm
from .grid import Grid, attenuating_box, axis_aligned
from .threads import on_threads, workers


def unsupported(affine: np.ndarray, geometry: Geometry, poses: Sequence[Pose]) -> str | None:
    """Why this backend cannot serve a request, None if it can."""
    if not all(pose.upright for pose in poses):
        return "poses with pitch or roll"
    return "a grid that is oblique to the body axes" if axis_aligned(affine) is None else None


def project(
    mu: np.ndarray,
    affine: np.ndarray,
    geometry: Geometry,
    poses: Sequence[Pose],
    isocentre_mm: np.ndarray,
    threads: int | None,
) -> np.ndarray:
    """See `forward.project`."""
    grid = axis_aligned(affine)
    assert grid is not None
    mu = mu.transpose(grid.order)
    box = attenuating_box(mu)
    volume = np.ascontiguousarray(mu[box], np.float32)
    views = np.zeros((len(poses), geometry.size, geometry.size), np.float32)
    if volume.size == 0 or len(poses) == 0:
        return views
    rows = _rows(grid, geometry)
    start = np.array([part.start for part in box])

    def share(some: np.ndarray) -> None:
        rays = _rays(grid, start, isocentre_mm, geometry, [poses[v] for v in some], rows)
        sums = np.zeros((len(some), geometry.size, rows.phases, rows.padded), np.float32)
        for axis in (0, 1):
            kernels.forward_columns(volume, sums, rays, axis)
        upwards = sums.transpose(0, 3, 2, 1).reshape(len(some), -1, geometry.size)[:, : geometry.size]
        views[some] = rows.hung(upwards) * _sample_mm(geometry, rays)

    on_threads(share, np.array_split(np.arange(len(poses)), min(workers(threads), len(poses))), threads)
    return views


def backproject(
    views: np.ndarray,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    geometry: Geometry,
    poses: Sequence[Pose],
    isocentre_mm: np.ndarray,
    threads: int | None,
) -> np.ndarray:
    """See `forward.backproject`."""
    grid = axis_aligned(affine)
    assert grid is not None
    if len(poses) == 0:
        return np.zeros(shape, np.float32)
    volume = np.zeros([shape[axis] for axis in grid.order], np.float32)
    rows = _rows(grid, geometry)
    rays = _rays(grid, np.zeros(3), isocentre_mm, geometry, poses, rows)
    values = np.zeros((len(poses), geometry.size, rows.phases, rows.padded + 2 * kernels.MARGIN), np.float32)
    given = np.zeros((len(poses), rows.phases * rows.padded, geometry.size), np.float32)
    given[:, : geometry.size] = rows.hung(views * _sample_mm(geometry, rays))
    values[..., kernels.MARGIN : -kernels.MARGIN] = given.reshape(
        len(poses), rows.padded, rows.phases, geometry.size
    ).transpose(0, 3, 2, 1)
    for axis in (0, 1):

        def fill(planes: np.ndarray, axis: int = axis) -> None:
            kernels.adjoint_columns(volume, values, rays, axis, int(planes[0]), int(planes[-1]) + 1)

        planes = np.arange(volume.shape[axis])
        on_threads(fill, np.array_split(planes, min(4 * workers(threads), len(planes))), threads)
    return np.ascontiguousarray(volume.transpose(np.argsort(grid.order)))


@dataclass(frozen=True)
class _Rows:
    """How the rows of the detector are laid out for the kernels: in growing z index, every `phases`-th one together.

    The kernels want neighbours in memory about one voxel apart, so rows of a fine detector are dealt out to phases.
    """

    in_order: bool
    phases: int
    padded: int

    def hung(self, views: np.ndarray) -> np.ndarray:
        """(n, rows, columns) the other way up where z grows against the rows; its own inverse."""
        return views if self.in_order else views[:, ::-1]


def _rows(grid: Grid, geometry: Geometry) -> _Rows:
    pitch = geometry.pixel_mm / geometry.magnification / abs(grid.step_mm[2])
    phases = max(1, round(1 / pitch))
    blocks = -(-geometry.size // (phases * kernels.LANES))
    return _Rows(in_order=bool(grid.step_mm[2] < 0), phases=phases, padded=blocks * kernels.LANES)


def _rays(
    grid: Grid, start: np.ndarray, isocentre_mm: np.ndarray, geometry: Geometry, poses: Sequence[Pose], rows: _Rows
) -> kernels.ColumnRays:
    """The rays in voxels of the box that begins at voxel `start`; see `ColumnRays`.

    A column steps through planes of the axis, x or y, along which it crosses more voxels.
    """
    fans = [fan_mm(geometry, pose) for pose in poses]
    isocentre = (isocentre_mm - grid.origin_mm) / grid.step_mm - start
    starts = np.stack([fan.start_xy for fan in fans]) / grid.step_mm[:2] + isocentre[:2]
    runs = np.stack([fan.end_xy - fan.start_xy for fan in fans]) / grid.step_mm[:2]
    across_x = np.abs(runs[..., 0]) >= np.abs(runs[..., 1])
    first = 0 if rows.in_order else -1  # the row that lies lowest along z
    start_z = np.array([fan.start_z[first] for fan in fans]) / grid.step_mm[2] + isocentre[2]
    run_z = np.array([fan.end_z[first] - fan.start_z[first] for fan in fans]) / grid.step_mm[2]
    step = geometry.pixel_mm / abs(grid.step_mm[2])
    cone = geometry.beam == "cone"

    def along(points: np.ndarray, first: int) -> np.ndarray:
        return np.where(across_x, points[..., first], points[..., 1 - first])

    return kernels.ColumnRays(
        across_x=across_x,
        a=along(starts, 0),
        b=along(runs, 0),
        a_lane=along(starts, 1),
        b_lane=along(runs, 1),
        az=start_z,
        bz=run_z,
        az_step=0.0 if cone else step,
        bz_step=step if cone else 0.0,
    )


def _sample_mm(geometry: Geometry, rays: kernels.ColumnRays) -> np.ndarray:
    """(n, rows, columns) float32: length of ray between two samples."""
    at_rest = fan_mm(geometry, Pose(0.0))  # no pose changes how long a ray is
    run_mm = np.linalg.norm(at_rest.end_xy - at_rest.start_xy, axis=1)
    length_mm = np.hypot(run_mm, (at_rest.end_z - at_rest.start_z)[:, None]).astype(np.float32)
    return length_mm / np.abs(rays.b).astype(np.float32)[:, None, :]
