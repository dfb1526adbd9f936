"""Volume to views, and views to volume by the exact transpose: one pair of functions, four ways to compute it.

A backend is a module with `unsupported(request)`, `project(mu, request)` and `backproject(views, request)`; all use
the same quadrature (see `column_kernels`):

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
from .geometry import Geometry, Poses
from .request import Request

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
    return project_request(mu, Request.of(mu.shape, affine, geometry, poses, isocentre_mm, threads), backend)


def backproject(
    views: np.ndarray,
    shape: Sequence[int],
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
    request = Request.of(shape, affine, geometry, poses, isocentre_mm, threads)
    return backproject_request(np.asarray(views, np.float32), request, backend)


def project_request(mu: np.ndarray, request: Request, backend: Backend = "auto") -> np.ndarray:
    """`project` for a request that was made before, for callers that repeat it."""
    if not np.isfinite(mu.sum()):
        raise InputError("the attenuation has values that are not finite; replace them before projecting")
    return choose(backend, request).project(mu, request)


def backproject_request(views: np.ndarray, request: Request, backend: Backend = "auto") -> np.ndarray:
    """`backproject` of float32 views for a request that was made before."""
    if views.shape != request.views_shape:
        count, size, _ = request.views_shape
        raise InputError(
            f"{count} poses need as many views of {size} x {size} pixels, got an array of shape {views.shape}"
        )
    return choose(backend, request).backproject(views, request)


def choose(backend: str, request: Request) -> ModuleType:
    """The module of a backend; torch is imported only for `torch`. Raises InputError where it cannot serve."""
    for name in ("columns", "rays") if backend == "auto" else (backend,):
        if name not in _MODULES:
            raise InputError(f"no projector {name!r}; choose auto, {', '.join(_MODULES)}")
        module = import_module(_MODULES[name], __package__)
        reason = module.unsupported(request)
        if reason is None:
            return module
    raise InputError(f"the projector {backend!r} does not take {reason}; backend='auto' finds one that does")
