"""Volume to views, and views to volume by the exact transpose."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from ..errors import InputError
from . import kernels
from .geometry import Geometry
from .rays import Grid, axis_aligned, grid_rays

Backend = Literal["auto", "numba", "torch"]


def project(
    mu: np.ndarray,
    affine: np.ndarray,
    geometry: Geometry,
    yaw_deg: Sequence[float] | np.ndarray,
    isocentre_mm: Sequence[float] | np.ndarray,
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """Line integrals p of `mu` at the given yaw angles, (n, size rows, size columns) float32, dimensionless.

    Args:
        mu: (nx, ny, nz) attenuation per mm.
        affine: (4, 4), voxel index to RAS+ mm.
        geometry: the X-ray set.
        yaw_deg: n angles in degrees.
        isocentre_mm: (3,) RAS mm.
        backend: `numba` is the fast path and takes grids along the body axes (any order, direction and spacing);
            `torch` is the reference of the same quadrature and takes oblique grids too. `auto` is `numba` wherever that
            is possible.
        threads: views worked on at the same time; all cores by default.

    Raises:
        InputError: `mu` is not three-dimensional, the affine is singular, or it is oblique and `numba` was asked for.
    """
    mu = np.asarray(mu)
    isocentre = np.asarray(isocentre_mm, np.float64)
    grid = _choose(mu.shape, affine, backend)
    if grid is None:
        from .reference import project_with_torch

        return project_with_torch(mu, affine, geometry, yaw_deg, isocentre)

    padded = kernels.pad(mu.transpose(grid.order))
    nz = mu.shape[grid.order[2]]
    views = np.empty((len(yaw_deg), geometry.size, geometry.size), np.float32)

    def view(i: int) -> None:
        rays = grid_rays(grid, isocentre, geometry, float(yaw_deg[i]))
        sums = np.zeros((geometry.size, geometry.size), np.float32)
        kernels.forward_view(padded, nz, sums, *rays.arguments)
        views[i] = (sums * rays.sample_mm).T

    _on_threads(view, range(len(yaw_deg)), threads)
    return views


def backproject(
    views: np.ndarray,
    shape: tuple[int, ...],
    affine: np.ndarray,
    geometry: Geometry,
    yaw_deg: Sequence[float] | np.ndarray,
    isocentre_mm: Sequence[float] | np.ndarray,
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """The transpose of `project` applied to views (n, size, size): float32 of `shape`, in mm times the views' unit.

    It uses the very weights of `project`, so <project(x), y> = <x, backproject(y)> up to float32 rounding. Every thread
    fills a volume of its own. The other arguments and the errors are those of `project`.
    """
    views = np.asarray(views)
    if views.shape != (len(yaw_deg), geometry.size, geometry.size):
        raise InputError(
            f"{len(yaw_deg)} angles need as many views of {geometry.size} x {geometry.size} pixels, "
            f"got an array of shape {views.shape}"
        )
    isocentre = np.asarray(isocentre_mm, np.float64)
    grid = _choose(shape, affine, backend)
    if grid is None:
        from .reference import backproject_with_torch

        return backproject_with_torch(views, shape, affine, geometry, yaw_deg, isocentre)

    inner = (shape[grid.order[0]], shape[grid.order[1]], shape[grid.order[2]])
    workers = _workers(len(views), threads)
    sums = [np.zeros(kernels.padded_shape(inner), np.float32) for _ in range(workers)]

    def share(worker: int) -> None:
        for i in range(worker, len(views), workers):
            rays = grid_rays(grid, isocentre, geometry, float(yaw_deg[i]))
            values = np.ascontiguousarray(views[i].T * rays.sample_mm, np.float32)
            kernels.adjoint_view(sums[worker], inner[2], values, *rays.arguments)

    _on_threads(share, range(workers), workers)
    for other in sums[1:]:
        sums[0] += other
    return np.ascontiguousarray(kernels.unpad(sums[0], inner).transpose(np.argsort(grid.order)))


def _choose(shape: tuple[int, ...], affine: np.ndarray, backend: Backend) -> Grid | None:
    """The grid for numba, or None where torch is to do it."""
    if len(shape) != 3 or 0 in shape:
        raise InputError(f"a volume has three axes of at least one voxel each, got shape {shape}")
    if backend not in ("auto", "numba", "torch"):
        raise InputError(f"no projector {backend!r}; choose auto, numba or torch")
    grid = axis_aligned(affine)
    if grid is None and backend == "numba":
        raise InputError(
            "the numba projector wants a grid along the body axes; take backend='torch' for an oblique one"
        )
    return None if backend == "torch" else grid


def _workers(jobs: int, threads: int | None) -> int:
    return max(1, min(threads or os.cpu_count() or 1, jobs))


def _on_threads(work: Callable[[int], None], jobs: Sequence[int], threads: int | None) -> None:
    workers = _workers(len(jobs), threads)
    if workers == 1:
        for job in jobs:
            work(job)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, jobs))  # list: raise what a thread raised
