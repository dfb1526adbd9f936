"""Volume to views, and views to volume by the exact transpose: one pair of functions, four ways to compute it.

Every backend is a module with the same two functions and the same quadrature (see `column_kernels`):

    columns     numba; upright poses, grids along the body axes                the fast path
    sparse      one sparse matrix; the same, parallel beam only                for few rows, and for linear algebra
    rays        numba; any pose, any grid
    torch       any pose, any grid, any device; gradients: `differentiable`    the reference
"""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Literal

import numpy as np

from ..core.errors import InputError
from .geometry import Geometry, Pose, Poses, as_poses
from .grid import axis_order

Backend = Literal["auto", "columns", "sparse", "rays", "torch"]
_MODULES = {"columns": ".columns", "sparse": ".sparse", "rays": ".rays", "torch": ".reference"}


def project(
    mu: np.ndarray,
    affine: np.ndarray,
    geometry: Geometry,
    poses: Poses,
    isocentre_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """Line integrals p of `mu`, (n, size rows, size columns) float32, dimensionless.

    Args:
        mu: (nx, ny, nz) attenuation per mm.
        affine: (4, 4), voxel index to RAS+ mm; any order, direction and spacing of the axes, oblique ones too.
        geometry: the X-ray set.
        poses: n of them, `Pose` objects or yaw angles in degrees.
        isocentre_mm: (3,) RAS mm.
        backend: one of the above. `auto` is `columns` where every pose is upright and the grid lies along the body
            axes, else `rays`.
        threads: all cores by default.

    Raises:
        InputError: `mu` is not three-dimensional or not finite, the affine is singular, a pose is none, or the backend
            cannot serve the request.
    """
    mu = np.asarray(mu)
    _, affine, posed, isocentre = _checked(mu.shape, affine, poses, isocentre_mm)
    if not np.isfinite(mu.sum()):
        raise InputError("the attenuation has values that are not finite; replace them before projecting")
    return _choose(backend, affine, geometry, posed).project(mu, affine, geometry, posed, isocentre, threads)


def backproject(
    views: np.ndarray,
    shape: tuple[int, ...],
    affine: np.ndarray,
    geometry: Geometry,
    poses: Poses,
    isocentre_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """The transpose of `project` applied to views (n, size, size): float32 of `shape`, in mm times the views' unit.

    It uses the very weights of `project`, so <project(x), y> = <x, backproject(y)> up to float32 rounding. The other
    arguments and the errors are those of `project`.
    """
    views = np.asarray(views, np.float32)
    box, affine, posed, isocentre = _checked(shape, affine, poses, isocentre_mm)
    if views.shape != (len(posed), geometry.size, geometry.size):
        raise InputError(
            f"{len(posed)} poses need as many views of {geometry.size} x {geometry.size} pixels, "
            f"got an array of shape {views.shape}"
        )
    module = _choose(backend, affine, geometry, posed)
    return module.backproject(views, box, affine, geometry, posed, isocentre, threads)


def _checked(
    shape: tuple[int, ...], affine: np.ndarray, poses: Poses, isocentre_mm: Sequence[float] | np.ndarray
) -> tuple[tuple[int, int, int], np.ndarray, list[Pose], np.ndarray]:
    if len(shape) != 3 or 0 in shape:
        raise InputError(f"a volume has three axes of at least one voxel each, got shape {tuple(shape)}")
    axis_order(affine)
    isocentre = np.asarray(isocentre_mm, np.float64)
    if isocentre.shape != (3,) or not np.isfinite(isocentre).all():
        raise InputError(f"the isocentre is three finite millimetres, got {isocentre_mm!r}")
    return (shape[0], shape[1], shape[2]), np.asarray(affine, np.float64), as_poses(poses), isocentre


def _choose(backend: str, affine: np.ndarray, geometry: Geometry, poses: Sequence[Pose]) -> ModuleType:
    """The module of a backend; `torch` is only imported where it is asked for."""
    if backend == "auto":
        columns = import_module(_MODULES["columns"], __package__)
        backend = "rays" if columns.unsupported(affine, geometry, poses) else "columns"
    if backend not in _MODULES:
        raise InputError(f"no projector {backend!r}; choose auto, {', '.join(_MODULES)}")
    module = import_module(_MODULES[backend], __package__)
    reason = module.unsupported(affine, geometry, poses)
    if reason:
        raise InputError(f"the projector {backend!r} does not take {reason}; backend='auto' finds one that does")
    return module
