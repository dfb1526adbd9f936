"""Backend `rays`: any pose, any grid, on the CPU. The loops are in `ray_kernels`."""

import numpy as np

from ..parallel.threads import on_threads, workers
from . import ray_kernels as kernels
from .geometry import Pose, rays_mm
from .grid import attenuating_box
from .request import Request


def unsupported(request: Request) -> str | None:
    """None: this backend serves every request."""
    return None


def project(mu: np.ndarray, request: Request) -> np.ndarray:
    """See `forward.project`."""
    mu = request.ordered(mu)
    box = attenuating_box(mu)
    padded, nz = kernels.pad(mu[box]), box[2].stop - box[2].start
    start = np.array([part.start for part in box])
    views = np.empty(request.views_shape, np.float32)

    def view(i: int) -> None:
        sums = np.zeros(views.shape[1:], np.float32)
        rays, sample_mm = _rays(request, request.poses[i], start)
        kernels.forward_rays(padded, nz, sums, *rays)
        views[i] = (sums * sample_mm).T

    on_threads(view, range(len(views)), request.threads)
    return views


def backproject(views: np.ndarray, request: Request) -> np.ndarray:
    """See `forward.backproject`. Every thread fills a volume of its own."""
    inner = request.ordered_shape
    parts = np.array_split(np.arange(len(views)), max(1, min(workers(request.threads), len(views))))
    sums = [np.zeros(kernels.padded_shape(inner), np.float32) for _ in parts]

    def share(part: int) -> None:
        for i in parts[part]:
            rays, sample_mm = _rays(request, request.poses[i], np.zeros(3))
            kernels.adjoint_rays(sums[part], inner[2], np.ascontiguousarray(views[i].T * sample_mm), *rays)

    on_threads(share, range(len(parts)), request.threads)
    for other in sums[1:]:
        sums[0] += other
    return request.restored(kernels.unpad(sums[0], inner))


def _rays(
    request: Request, pose: Pose, start: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """The rays of a view in the box that begins at voxel `start`, as the kernels take them.

    And (columns, rows) float32, the length between two samples in mm.

    A ray steps through planes of x or y, whichever it crosses more of; through planes of z only where it climbs more
    than 45 degrees, as in no upright view.
    """
    matrix, isocentre = request.to_voxels
    begin_mm, end_mm = (points.swapaxes(0, 1) for points in rays_mm(request.geometry, pose))
    run_mm = end_mm - begin_mm
    begin, run = begin_mm @ matrix.T + (isocentre - start + kernels.PAD), run_mm @ matrix.T
    steep = np.abs(run_mm[..., 2]) > np.hypot(run_mm[..., 0], run_mm[..., 1])
    axes = np.where(steep, 2, np.abs(run[..., 1]) > np.abs(run[..., 0])).astype(np.int8)
    crossed = np.abs(np.take_along_axis(run, axes[..., None].astype(np.int64), axis=-1)[..., 0])
    sample_mm = (np.linalg.norm(run_mm, axis=-1) / crossed).astype(np.float32)
    return (np.ascontiguousarray(begin), np.ascontiguousarray(run), axes), sample_mm
