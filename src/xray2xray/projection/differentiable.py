"""The projectors inside a torch graph, for one volume or a batch: the fast kernels where they can serve, else torch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..core.errors import InputError
from ..parallel.threads import on_threads, workers
from .forward import Backend, backproject_request, project_request
from .frustum import Frustum, march, smear
from .geometry import Geometry, Pose, Poses
from .reference import backproject_batch, pose_tensor, project_batch
from .request import Request

Vector = Sequence[float] | np.ndarray
Apply = Callable[[np.ndarray], np.ndarray]


def project_tensor(
    mu: torch.Tensor,
    affine: np.ndarray,
    geometry: Geometry,
    poses: Poses | torch.Tensor,
    isocentre_mm: Vector = (0.0, 0.0, 0.0),
    backend: Backend = "auto",
    threads: int | None = None,
) -> torch.Tensor:
    """`project` of a tensor or a batch: line integrals of its dtype and on its device, with gradients.

    Args:
        mu: (nx, ny, nz) attenuation per mm, or a batch (b, c, nx, ny, nz) on one grid.
        poses: as in `project`, or a tensor (n, 6) of yaw, pitch, roll (degrees) and translation (mm). A batch takes
            one set of poses for all, or a tensor (b, n, 6). Patients with isocentres of their own have them here: a
            translation moves the X-ray set as another isocentre does.
        backend: as in `project`. `auto` is `torch` in float64, away from the CPU, and for poses that need gradients.
            All others compute in float32 on the CPU; their gradient is their exact transpose, which can be
            differentiated again. In a batch, `auto` decides for each set of poses.
        threads: all cores by default; they share out the batch first, then the views. `torch` has its own.

    Returns:
        (n, size, size), of a batch (b, c, n, size, size).

    Raises:
        InputError: as `project`; `mu` or a tensor of poses has another shape or type; a backend other than `torch` is
            asked for gradients to the poses.
    """
    _check_floats(mu)
    if mu.ndim == 3:
        return project_tensor(mu[None, None], affine, geometry, poses, isocentre_mm, backend, threads)[0, 0]
    shape = mu.shape[2:] if mu.ndim == 5 else mu.shape
    request, table = Request.of(shape, affine, geometry, [], isocentre_mm, threads), _table(poses, len(mu))
    if _needs_torch(mu, table, backend):
        return project_batch(mu, request, table)
    return _Linear.apply(mu, *_pair(mu.shape[0] * mu.shape[1], request, table, backend))  # type: ignore[no-untyped-call]


def backproject_tensor(
    views: torch.Tensor,
    shape: Sequence[int],
    affine: np.ndarray,
    geometry: Geometry,
    poses: Poses | torch.Tensor,
    isocentre_mm: Vector = (0.0, 0.0, 0.0),
    backend: Backend = "auto",
    threads: int | None = None,
) -> torch.Tensor:
    """`backproject` of views (n, size, size) or a batch (b, c, n, size, size): (nx, ny, nz) or (b, c, nx, ny, nz).

    The transpose of `project_tensor`, whose other arguments it takes; its gradient is `project_tensor`.
    """
    _check_floats(views)
    if views.ndim == 3:
        more = (shape, affine, geometry, poses, isocentre_mm, backend, threads)
        return backproject_tensor(views[None, None], *more)[0, 0]
    request, table = Request.of(shape, affine, geometry, [], isocentre_mm, threads), _table(poses, len(views))
    if views.ndim != 5 or views.shape[2:] != (table.shape[1], geometry.size, geometry.size):
        raise InputError(
            f"{table.shape[1]} poses need as many views of {geometry.size} x {geometry.size} pixels, "
            f"got a tensor of shape {tuple(views.shape)}"
        )
    if _needs_torch(views, table, backend):
        return backproject_batch(views, request, table)
    return _Linear.apply(views, *_pair(views.shape[0] * views.shape[1], request, table, backend)[::-1])  # type: ignore[no-untyped-call]


def march_tensor(grid: torch.Tensor, frustum: Frustum, geometry: Geometry, poses: Sequence[Pose]) -> torch.Tensor:
    """`frustum.march` of a batch of grids (b, depth, rows, columns), with gradients: (b, n, size, size)."""

    def views(grids: np.ndarray) -> np.ndarray:
        return np.stack([march(one, frustum, geometry, poses) for one in grids])

    def grids(views: np.ndarray) -> np.ndarray:
        spread = [[smear(view, frustum, geometry, pose) for view, pose in zip(of, poses, strict=True)] for of in views]
        return np.asarray(spread).sum(axis=1, dtype=np.float32)

    return _Linear.apply(grid, views, grids)  # type: ignore[no-untyped-call]


def _check_floats(x: torch.Tensor) -> None:
    """The result is of the same type, and whole numbers would be cut off."""
    if not (isinstance(x, torch.Tensor) and x.is_floating_point()):
        raise InputError(f"a tensor of floating-point numbers is wanted, got {getattr(x, 'dtype', type(x).__name__)}")


def _table(poses: Poses | torch.Tensor, batch: int) -> torch.Tensor:
    """(1 or batch, n, 6): the poses as a tensor."""
    table = poses if isinstance(poses, torch.Tensor) else pose_tensor(poses)
    table = table[None] if table.ndim == 2 else table
    if table.ndim != 3 or table.shape[2] != 6 or len(table) not in (1, batch):
        raise InputError(
            f"a batch of {batch} needs poses of shape (n, 6) or ({batch}, n, 6), got {tuple(table.shape)}: "
            "yaw, pitch, roll in degrees, translation in mm"
        )
    if not torch.isfinite(table).all():
        raise InputError("poses hold NaN or infinity")
    return table


def _needs_torch(x: torch.Tensor, poses: torch.Tensor, backend: Backend) -> bool:
    if backend == "auto":
        return poses.requires_grad or x.dtype == torch.float64 or x.device.type != "cpu"
    if poses.requires_grad and backend != "torch":
        raise InputError(f"the projector {backend!r} has no gradients to poses; use backend='torch' or 'auto'")
    return backend == "torch"


def _pair(items: int, request: Request, poses: torch.Tensor, backend: Backend) -> tuple[Apply, Apply]:
    """A and its transpose as functions of arrays (b, c, ...), where b times c is `items`."""
    cores = workers(request.threads)
    for_each = max(1, cores // max(1, items))
    requests = [
        replace(
            request,
            poses=tuple(Pose(yaw, pitch, roll, (x, y, z)) for yaw, pitch, roll, x, y, z in some),
            threads=for_each,
        )
        for some in poses.detach().to("cpu", torch.float64).tolist()
    ]

    def batched(apply: Callable[..., np.ndarray], shape: tuple[int, ...]) -> Apply:
        def on_all(given: np.ndarray) -> np.ndarray:
            made = np.empty((*given.shape[:2], *shape), np.float32)

            def on_one(at: tuple[int, ...]) -> None:
                made[at] = apply(given[at], requests[at[0] % len(requests)], backend)

            on_threads(on_one, np.ndindex(*given.shape[:2]), cores)
            return made

        return on_all

    views_shape = (poses.shape[1], request.geometry.size, request.geometry.size)
    return batched(project_request, views_shape), batched(backproject_request, request.shape)


class _Linear(torch.autograd.Function):
    """y = A x, whose gradient is A^T, whose gradient is A again."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, apply: Apply, transpose: Apply) -> torch.Tensor:
        ctx.pair = apply, transpose
        return torch.from_numpy(apply(x.detach().to("cpu", torch.float32).numpy())).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        apply, transpose = ctx.pair
        return _Linear.apply(gradient, transpose, apply), None, None  # type: ignore[no-untyped-call]
