"""The projectors inside a torch graph: the fast kernels where they can serve, else the torch reference."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from .forward import Backend, backproject, project
from .geometry import Geometry, Poses
from .reference import project_torch

Vector = Sequence[float] | np.ndarray


def project_tensor(
    mu: torch.Tensor,
    affine: np.ndarray,
    geometry: Geometry,
    poses: Poses | torch.Tensor,
    isocentre_mm: Vector = (0.0, 0.0, 0.0),
    backend: Backend = "auto",
    threads: int | None = None,
) -> torch.Tensor:
    """`project` of a tensor: line integrals (n, size, size) of its dtype and on its device, with gradients.

    Args:
        mu: (nx, ny, nz) attenuation per mm.
        poses: as in `project`, or an (n, 6) tensor of yaw, pitch, roll (degrees) and translation (mm), to which
            gradients flow as well.
        backend: as in `project`. `auto` is `torch` where poses are a tensor, in float64 and away from the CPU. All
            others compute in float32 on the CPU; their gradient is their exact transpose, which can be differentiated
            again.

    Raises:
        InputError: as `project`.
    """
    for_torch = isinstance(poses, torch.Tensor) or mu.dtype == torch.float64 or mu.device.type != "cpu"
    if backend == "torch" or (backend == "auto" and for_torch):
        return project_torch(mu, affine, geometry, poses, isocentre_mm)
    forward, transpose = _pair(tuple(mu.shape), affine, geometry, poses, isocentre_mm, backend, threads)
    return _Linear.apply(mu, forward, transpose)


def backproject_tensor(
    views: torch.Tensor,
    shape: tuple[int, ...],
    affine: np.ndarray,
    geometry: Geometry,
    poses: Poses,
    isocentre_mm: Vector = (0.0, 0.0, 0.0),
    backend: Backend = "auto",
    threads: int | None = None,
) -> torch.Tensor:
    """`backproject` of a tensor of views (n, size, size), in float32 on the CPU; its gradient is `project`."""
    forward, transpose = _pair(shape, affine, geometry, poses, isocentre_mm, backend, threads)
    return _Linear.apply(views, transpose, forward)


def _pair(shape: tuple[int, ...], affine: np.ndarray, *request: Any) -> tuple[Callable, Callable]:
    """A and its transpose as functions of arrays."""
    return lambda x: project(x, affine, *request), lambda y: backproject(y, shape, affine, *request)


class _Linear(torch.autograd.Function):
    """y = A x, whose gradient is A^T, whose gradient is A again."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, apply: Callable, transpose: Callable) -> torch.Tensor:
        ctx.pair = apply, transpose
        return torch.from_numpy(apply(x.detach().to("cpu", torch.float32).numpy())).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        apply, transpose = ctx.pair
        return _Linear.apply(gradient, transpose, apply), None, None
