"""Backend `rays`: any pose, any grid, on the CPU. The loops are in `ray_kernels`."""

from collections.abc import Sequence

import numpy as np

from . import ray_kernels as kernels
from .geometry import Geometry, Pose, rays_mm
from .grid import attenuating_box, axis_order
from .threads import on_threads, workers


def unsupported(affine: np.ndarray, geometry: Geometry, poses: Sequence[Pose]) -> str | None:
    """None: this backend serves every request."""
    return None


def project(
    mu: np.ndarray,
    affine: np.ndarray,
    geometry: Geometry,
    poses: Sequence[Pose],
    isocentre_mm: np.ndarray,
    threads: int | None,
) -> np.ndarray:
    """See `forward.project`."""
    order = axis_order(affine) or (0, 1, 2)
    mu = mu.transpose(order)
    box = attenuating_box(mu)
    padded, nz = kernels.pad(mu[box]), box[2].stop - box[2].start
    start = np.array([part.start for part in box])
    views = np.empty((len(poses), geometry.size, geometry.size), np.float32)

    def view(i: int) -> None:
        sums = np.zeros((geometry.size, geometry.size), np.float32)
        rays, sample_mm = _rays(affine, order, start, isocentre_mm, geometry, poses[i])
        kernels.forward_rays(padded, nz, sums, *rays)
        views[i] = (sums * sample_mm).T

    on_threads(view, range(len(poses)), threads)
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
    """See `forward.backproject`. Every thread fills a volume of its own."""
    order = axis_order(affine) or (0, 1, 2)
    inner = (shape[order[0]], shape[order[1]], shape[order[2]])
    parts = np.array_split(np.arange(len(poses)), max(1, min(workers(threads), len(poses))))
    sums = [np.zeros(kernels.padded_shape(inner), np.float32) for _ in parts]

    def share(part: int) -> None:
        for i in parts[part]:
            rays, sample_mm = _rays(affine, order, np.zeros(3), isocentre_mm, geometry, poses[i])
            kernels.adjoint_rays(sums[part], inner[2], np.ascontiguousarray(views[i].T * sample_mm), *rays)

    on_threads(share, range(len(parts)), threads)
    for other in sums[1:]:
        sums[0] += other
    return np.ascontiguousarray(kernels.unpad(sums[0], inner).transpose(np.argsort(order)))


def _rays(
    affine: np.ndarray,
    order: tuple[int, int, int],
    start: np.ndarray,
    isocentre_mm: np.ndarray,
    geometry: Geometry,
    pose: Pose,
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """The rays of a view as the kernels take them, and (columns, rows) float32, the length between two samples in mm.

    A ray steps through planes of x or y, whichever it crosses more of; through planes of z only where it climbs more
    than 45 degrees, as in no upright view.
    """
    to_voxels = np.linalg.inv(affine)[list(order)]
    begin_mm, end_mm = (points.swapaxes(0, 1) for points in rays_mm(geometry, pose))
    run_mm = end_mm - begin_mm
    centre = to_voxels[:, :3] @ isocentre_mm + to_voxels[:, 3] - start + kernels.PAD
    begin, run = begin_mm @ to_voxels[:, :3].T + centre, run_mm @ to_voxels[:, :3].T
    steep = np.abs(run_mm[..., 2]) > np.hypot(run_mm[..., 0], run_mm[..., 1])
    axes = np.where(steep, 2, np.abs(run[..., 1]) > np.abs(run[..., 0])).astype(np.int8)
    crossed = np.abs(np.take_along_axis(run, axes[..., None].astype(np.int64), axis=-1)[..., 0])
    sample_mm = (np.linalg.norm(run_mm, axis=-1) / crossed).astype(np.float32)
    return (np.ascontiguousarray(begin), np.ascontiguousarray(run), axes), sample_mm
