"""Backend `columns`: upright poses on a grid along the body axes, the fast path. The loops are in `column_kernels`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..parallel.threads import on_threads, workers
from . import column_kernels as kernels
from .geometry import Geometry, Pose, fan_mm
from .grid import Grid, attenuating_box
from .request import Request


def unsupported(request: Request) -> str | None:
    """Why this backend cannot serve a request, None if it can."""
    if not all(pose.upright for pose in request.poses):
        return "poses with pitch or roll"
    return "a grid that is oblique to the body axes" if request.grid is None else None


def project(mu: np.ndarray, request: Request) -> np.ndarray:
    """See `forward.project`."""
    mu = request.ordered(mu)
    box = attenuating_box(mu)
    volume = np.ascontiguousarray(mu[box], np.float32)
    views = np.zeros(request.views_shape, np.float32)
    if volume.size == 0 or len(views) == 0:
        return views
    size, rows = request.geometry.size, _rows(request)
    start = np.array([part.start for part in box])

    def share(some: np.ndarray) -> None:
        rays = _rays(request, [request.poses[v] for v in some], rows, start)
        sums = np.zeros((len(some), size, rows.phases, rows.padded), np.float32)
        for axis in (0, 1):
            kernels.forward_columns(volume, sums, rays, axis)
        upwards = sums.transpose(0, 3, 2, 1).reshape(len(some), -1, size)[:, :size]
        views[some] = rows.turned(upwards) * _sample_mm(request.geometry, rays)

    parts = np.array_split(np.arange(len(views)), min(workers(request.threads), len(views)))
    on_threads(share, parts, request.threads)
    return views


def backproject(views: np.ndarray, request: Request) -> np.ndarray:
    """See `forward.backproject`."""
    if len(views) == 0:
        return np.zeros(request.shape, np.float32)
    volume = np.zeros(request.ordered_shape, np.float32)
    (count, size, _), rows = views.shape, _rows(request)
    rays = _rays(request, request.poses, rows, np.zeros(3))
    values = np.zeros((count, size, rows.phases, rows.padded + 2 * kernels.MARGIN), np.float32)
    given = np.zeros((count, rows.padded * rows.phases, size), np.float32)
    given[:, :size] = rows.turned(views * _sample_mm(request.geometry, rays))
    inner = values[..., kernels.MARGIN : -kernels.MARGIN]
    inner[...] = given.reshape(count, rows.padded, rows.phases, size).transpose(0, 3, 2, 1)
    for axis in (0, 1):

        def fill(planes: np.ndarray, axis: int = axis) -> None:
            kernels.adjoint_columns(volume, values, rays, axis, int(planes[0]), int(planes[-1]) + 1)

        planes = np.arange(volume.shape[axis])
        on_threads(fill, np.array_split(planes, min(4 * workers(request.threads), len(planes))), request.threads)
    return request.restored(volume)


def _grid(request: Request) -> Grid:
    assert request.grid is not None  # see `unsupported`
    return request.grid


@dataclass(frozen=True)
class _Rows:
    """How the rows of the detector are laid out for the kernels: in growing z index, every `phases`-th one together.

    The kernels want neighbours in memory about one voxel apart, so rows of a fine detector are dealt out to phases.
    """

    in_order: bool
    phases: int
    padded: int

    def turned(self, views: np.ndarray) -> np.ndarray:
        """(n, rows, columns) the other way up where z grows against the rows; its own inverse."""
        return views if self.in_order else views[:, ::-1]


def _rows(request: Request) -> _Rows:
    grid, geometry = _grid(request), request.geometry
    pitch = geometry.pixel_mm / geometry.magnification / abs(grid.step_mm[2])
    phases = max(1, round(1 / pitch))
    blocks = -(-geometry.size // (phases * kernels.LANES))
    return _Rows(in_order=bool(grid.step_mm[2] < 0), phases=phases, padded=blocks * kernels.LANES)


def _rays(request: Request, poses: Sequence[Pose], rows: _Rows, start: np.ndarray) -> kernels.ColumnRays:
    """The rays in voxels of the box that begins at voxel `start`; see `ColumnRays`.

    A column steps through planes of the axis, x or y, along which it crosses more voxels.
    """
    grid, geometry = _grid(request), request.geometry
    fans = [fan_mm(geometry, pose) for pose in poses]
    isocentre = (request.isocentre_mm - grid.origin_mm) / grid.step_mm - start
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
