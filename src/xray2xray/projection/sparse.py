"""Backend `sparse`: a parallel beam as one sparse matrix; upright poses, grids along the body axes.

A horizontal ray stays in its plane of z, so what it meets in (x, y) is the same at every height: all views are one
matrix of (views x columns) by (nx ny) times the volume, and one interpolation along z for the rows.
"""

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from . import columns
from .geometry import Geometry, Pose, fan_mm
from .request import Request


def unsupported(request: Request) -> str | None:
    """Why this backend cannot serve a request, None if it can."""
    return "a cone beam" if request.geometry.beam != "parallel" else columns.unsupported(request)


def project(mu: np.ndarray, request: Request) -> np.ndarray:
    """See `forward.project`; on one thread."""
    in_plane, heights = _operator(request)
    volume = np.ascontiguousarray(request.ordered(mu), np.float32)
    lines = (in_plane @ volume.reshape(-1, volume.shape[2])).reshape(*request.views_shape[:2], -1)
    views = [interpolate @ line.T for interpolate, line in zip(heights, lines)]
    return np.stack(views) if views else np.zeros(request.views_shape, np.float32)


def backproject(views: np.ndarray, request: Request) -> np.ndarray:
    """See `forward.backproject`; on one thread."""
    in_plane, heights = _operator(request)
    parts = [(interpolate.T @ view).T for interpolate, view in zip(heights, views)]
    lines = np.concatenate(parts) if parts else np.zeros((0, request.ordered_shape[2]), np.float32)
    return request.restored((in_plane.T @ lines).reshape(request.ordered_shape))


def _operator(request: Request) -> tuple[csr_array, tuple[csr_array, ...]]:
    grid, (nx, ny, nz) = request.grid, request.ordered_shape
    assert grid is not None  # see `unsupported`
    isocentre = (request.isocentre_mm - grid.origin_mm) / grid.step_mm
    step_mm, centre = tuple(map(float, grid.step_mm)), tuple(map(float, isocentre))
    in_plane = _in_plane((nx, ny), step_mm[:2], centre[:2], request.geometry, request.poses)
    return in_plane, _heights(nz, step_mm[2], centre[2], request.geometry, request.poses)


# Building it costs as much as some passes over the volume, and an iteration makes hundreds over each subset of views.
@lru_cache(maxsize=64)
def _in_plane(
    shape: tuple[int, int],
    step_mm: tuple[float, float],
    centre: tuple[float, float],
    geometry: Geometry,
    poses: tuple[Pose, ...],
) -> csr_array:
    """(views x columns, nx ny) float32: the length in mm that every voxel of a plane of z counts for in every ray."""
    rays, voxels, weights = [], [], []
    for i, pose in enumerate(poses):
        fan = fan_mm(geometry, pose)
        run_mm = fan.end_xy - fan.start_xy
        start, run = fan.start_xy / step_mm + centre, run_mm / step_mm
        across_x = np.abs(run[:, 0]) >= np.abs(run[:, 1])
        for axis, chosen in ((0, across_x), (1, ~across_x)):
            column = np.flatnonzero(chosen)[:, None]
            main, lane = (run[column, axis], start[column, axis]), (run[column, 1 - axis], start[column, 1 - axis])
            plane = np.arange(shape[axis])
            t = (plane - main[1]) / main[0]
            position = lane[1] + t * lane[0]
            low = np.floor(position).astype(np.int64)
            sample_mm = np.linalg.norm(run_mm[column[:, 0]], axis=1)[:, None] / np.abs(main[0])
            for neighbour, share in ((low, 1 - (position - low)), (low + 1, position - low)):
                met = (t > 0) & (neighbour >= 0) & (neighbour < shape[1 - axis])
                voxel = plane * shape[1] + neighbour if axis == 0 else neighbour * shape[1] + plane
                rays.append(np.broadcast_to(i * geometry.size + column, met.shape)[met])
                voxels.append(voxel[met])
                weights.append((share * sample_mm)[met])
    size = (len(poses) * geometry.size, shape[0] * shape[1])
    if not rays:
        return csr_array(size, dtype=np.float32)
    entries = np.concatenate(weights).astype(np.float32), (np.concatenate(rays), np.concatenate(voxels))
    return csr_array(entries, shape=size)


@lru_cache(maxsize=64)
def _heights(
    nz: int, step_mm: float, centre: float, geometry: Geometry, poses: tuple[Pose, ...]
) -> tuple[csr_array, ...]:
    """For every view (rows, nz) float32: how much of each plane of z a row shows."""
    return tuple(_linear(fan_mm(geometry, pose).end_z / step_mm + centre, nz) for pose in poses)


def _linear(at: np.ndarray, size: int) -> csr_array:
    """(len(at), size) float32: linear interpolation at the places `at` of a line, towards zero beyond its ends."""
    low = np.floor(at).astype(np.int64)
    rows, cells = np.tile(np.arange(len(at)), 2), np.concatenate([low, low + 1])
    weights = np.concatenate([1 - (at - low), at - low]).astype(np.float32)
    inside = (cells >= 0) & (cells < size)
    return csr_array((weights[inside], (rows[inside], cells[inside])), shape=(len(at), size))
