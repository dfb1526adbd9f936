"""The recurrence of a selective state-space model (Gu and Dao 2023, arXiv 2312.00752), without a loop over all steps.

    h_t = a_t h_{t-1} + x_t,   a_t = exp(delta_t A),   x_t = delta_t B_t u_t;      y_t = C_t . h_t + D u_t

Maps h -> a h + x compose to maps of the same kind, so the n steps are cut into about sqrt(n) chunks. All chunks run
side by side from a state of zero, then the state at the end of each is carried into the next: 2 sqrt(n) steps in place
of n, for thrice the work. Products of a_t only shrink, so nothing is divided and nothing overflows.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def linear_recurrence(decay: Tensor, drive: Tensor) -> Tensor:
    """h_t = decay_t h_{t-1} + drive_t with h_{-1} = 0, along dimension 1 of (b, n, ...); differentiable."""
    return _Recurrence.apply(decay, drive)


def selective_scan(u: Tensor, delta: Tensor, rates: Tensor, write: Tensor, read: Tensor, skip: Tensor) -> Tensor:
    """y (b, n, d) of the recurrence above, in float32 whatever comes in.

    Args:
        u: what is written, (b, n, d).
        delta: step sizes, (b, n, d), positive.
        rates: A, (d, s), negative.
        write, read: B and C, (b, n, s).
        skip: D, (d,).
    """
    u, delta, rates, write, read = (t.float() for t in (u, delta, rates, write, read))
    decay = torch.exp(delta[..., None] * rates)
    states = linear_recurrence(decay, (delta * u)[..., None] * write[:, :, None])
    return torch.einsum("bnds,bns->bnd", states, read) + skip.float() * u


class _Recurrence(torch.autograd.Function):
    """The gradient of a recurrence is the recurrence of the gradient, from the end: g_t = dL/dh_t + a_{t+1} g_{t+1}."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor) -> Tensor:
        states = _scan(decay, drive)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        later = torch.cat([decay[:, 1:], torch.ones_like(decay[:, :1])], dim=1)
        reached = _scan(later.flip(1), gradients[0].flip(1)).flip(1)
        before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], dim=1)
        return reached * before, reached


def _scan(decay: Tensor, drive: Tensor) -> Tensor:
    """As `linear_recurrence`, without gradients."""
    n = decay.shape[1]
    length = math.isqrt(n - 1) + 1
    spare = (0, 0) * (decay.ndim - 2) + (0, -n % length)
    kept = F.pad(decay, spare).unflatten(1, (-1, length)).clone()
    states = F.pad(drive, spare).unflatten(1, (-1, length)).clone()
    for t in range(1, length):
        states[:, :, t] += kept[:, :, t] * states[:, :, t - 1]
        kept[:, :, t] *= kept[:, :, t - 1]  # the product of a chunk's decays so far
    for chunk in range(1, states.shape[1]):
        states[:, chunk] += kept[:, chunk] * states[:, chunk - 1, -1:]
    return states.flatten(1, 2)[:, :n]
