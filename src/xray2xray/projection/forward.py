"""Volume to views, and back with the exact transpose."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import InputError
from . import kernels
from .geometry import Geometry

Backend = Literal["auto", "numba", "torch"]


@dataclass(frozen=True)
class Grid:
    """An axis-aligned voxel grid as the kernels want it: axes in the order x, y, z; voxels may run either way.

    `order` says which axis of the array is x, y and z; an index is (RAS mm - `origin_mm`) / `step_mm`.
    """

    order: tuple[int, int, int]
    origin_mm: np.ndarray
    step_mm: np.ndarray


def axis_aligned(affine: np.ndarray) -> Grid | None:
    """The grid of an affine whose axes are those of RAS in any order and direction; None for an oblique one."""
    directions = np.asarray(affine, np.float64)[:3, :3]
    spacing = np.linalg.norm(directions, axis=0)
    if not np.all(np.isfinite(directions)) or np.any(spacing == 0):
        raise InputError("the affine of the volume is singular or not finite; it must map voxels to millimetres")
    order = np.argmax(np.abs(directions), axis=1)
    if sorted(order) != [0, 1, 2]:
        return None
    step = directions[np.arange(3), order]
    if not np.allclose(np.abs(step), spacing[order], rtol=1e-6):
        return None
    return Grid((int(order[0]), int(order[1]), int(order[2])), np.asarray(affine, np.float64)[:3, 3], step)


@dataclass(frozen=True)
class _Rays:
    """One view's rays on one grid: what `kernels` takes, and the length between samples (columns, rows) in mm."""

    arguments: tuple
    step_mm: np.ndarray


def _rays(grid: Grid, isocentre_mm: np.ndarray, geometry: Geometry, yaw_deg: float) -> _Rays:
    yaw = np.deg2rad(yaw_deg)
    offsets = geometry.offsets_mm
    source = np.array([np.sin(yaw), -np.cos(yaw)])
    pixels = offsets[:, None] * np.array([-np.cos(yaw), -np.sin(yaw)]) - source * (geometry.sdd_mm - geometry.sod_mm)
    if geometry.beam == "cone":
        starts = np.broadcast_to(source * geometry.sod_mm, pixels.shape)
        z_start, z_pixel = np.zeros_like(offsets), -offsets
    else:
        starts = pixels + source * geometry.sdd_mm
        z_start = z_pixel = -offsets
    horizontal_mm = np.linalg.norm(pixels - starts, axis=1)
    vertical_mm = z_pixel - z_start

    zero = (isocentre_mm - grid.origin_mm) / grid.step_mm + kernels.PAD  # the isocentre in padded voxels
    a = starts / grid.step_mm[:2] + zero[:2]
    b = (pixels - starts) / grid.step_mm[:2]
    across = np.abs(b[:, 0]) >= np.abs(b[:, 1])
    main, lane = np.where(across, 0, 1), np.where(across, 1, 0)
    columns = np.arange(geometry.size)
    az, bz = z_start / grid.step_mm[2] + zero[2], vertical_mm / grid.step_mm[2]
    slope = (lambda values: float(values[-1] - values[0]) / max(geometry.size - 1, 1))
    arguments = (
        across, a[columns, main], b[columns, main], a[columns, lane], b[columns, lane],
        float(az[0]), slope(az), float(bz[0]), slope(bz),
    )  # fmt: skip
    length_mm = np.hypot(horizontal_mm[:, None], vertical_mm[None, :])
    return _Rays(arguments, (length_mm / np.abs(b[columns, main])[:, None]).astype(np.float32))


def _on_threads(work: Callable[[int], None], count: int, threads: int | None) -> None:
    workers = min(threads or os.cpu_count() or 1, count)
    if workers <= 1:
        for i in range(count):
            work(i)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(count)))


def project(
    mu: np.ndarray,
    affine: np.ndarray,
    geometry: Geometry,
    yaw_deg: Sequence[float],
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
        backend: `numba` is the fast path and takes affines along the body axes (any order and direction); `torch` takes
            oblique ones too. `auto` is `numba` wherever that is possible.
        threads: views worked on at the same time; all cores by default.

    Raises:
        InputError: `mu` is not three-dimensional, the affine is singular, or it is oblique and `numba` was asked for.
    """
    mu = np.asarray(mu)
    if mu.ndim != 3 or 0 in mu.shape:
        raise InputError(f"a volume has three axes of at least one voxel each, got an array of shape {mu.shape}")
    isocentre = np.asarray(isocentre_mm, np.float64)
    grid = axis_aligned(affine)
    if backend == "torch" or (backend == "auto" and grid is None):
        return _project_with_torch(mu, affine, geometry, yaw_deg, isocentre)
    if grid is None:
        raise InputError("the numba projector wants an affine along the body axes; use backend='torch' for oblique ones")

    padded = kernels.pad(mu.transpose(grid.order))
    nz = mu.shape[grid.order[2]]
    views = np.empty((len(yaw_deg), geometry.size, geometry.size), np.float32)

    def view(i: int) -> None:
        rays = _rays(grid, isocentre, geometry, float(yaw_deg[i]))
        sums = np.zeros((geometry.size, geometry.size), np.float32)
        kernels.forward_view(padded, nz, sums, *rays.arguments)
        views[i] = (sums * rays.step_mm).T

    _on_threads(view, len(yaw_deg), threads)
    return views
