"""The recurrence of a selective state-space model (Gu and Dao 2023, arXiv 2312.00752), for a CPU and for a GPU.

    h_t = a_t h_{t-1} + x_t,   a_t = exp(delta_t A),   x_t = delta_t B_t u_t;      y_t = C_t . h_t + D u_t

All states together are s times as large as anything else in the network. A CPU waits for memory, so it goes step by
step with one state, which fits its cache, and computes them again for the gradient (`_StepByStep`).

A GPU waits for launches. Maps h -> a h + x compose to maps of the same kind, so there the n steps are cut into about
sqrt(n) chunks. All run side by side from a state of zero, then the state at the end of each is carried into the next:
2 sqrt(n) steps in place of n, for thrice the work. Products of a_t only shrink, so nothing is divided and nothing
overflows (`in_chunks`).
"""

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


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
    scan = _StepByStep.apply if u.device.type == "cpu" else in_chunks
    found: Tensor = scan(delta * u, delta, rates, write, read)
    return found + skip.float() * u


def in_chunks(driven: Tensor, delta: Tensor, rates: Tensor, write: Tensor, read: Tensor) -> Tensor:
    """C_t . h_t, float32 (b, n, d), as `selective_scan`; driven: delta_t u_t, (b, n, d)."""

    def outputs(driven: Tensor, delta: Tensor, rates: Tensor, write: Tensor, read: Tensor) -> Tensor:
        decay = torch.exp(delta[..., None] * rates)
        states = linear_recurrence(decay, driven[..., None] * write[:, :, None])
        return torch.einsum("bnds,bns->bnd", states, read)

    if not torch.is_grad_enabled():
        return outputs(driven, delta, rates, write, read)
    # the states are computed again for the gradient instead of kept
    again = checkpoint(outputs, driven, delta, rates, write, read, use_reentrant=False, preserve_rng_state=False)
    return cast(Tensor, again)


class _StepByStep(torch.autograd.Function):
    """As `in_chunks`. With g_t = dL/dh_t, which runs from the end: g_t = dL/dy_t C_t + a_{t+1} g_{t+1}.

    States lie as (b, s, d) here: along d, which is long, every sum and product is one stream.
    """

    @staticmethod
    def forward(ctx: Any, driven: Tensor, delta: Tensor, rates: Tensor, write: Tensor, read: Tensor) -> Tensor:
        ctx.save_for_backward(driven, delta, rates, write, read)
        found = torch.empty_like(driven)
        for t, state in enumerate(_states(driven, delta, rates.T.contiguous(), write)):
            torch.sum(state * read[:, t, :, None], dim=1, out=found[:, t])
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        driven, delta, rates, write, read = ctx.saved_tensors
        given, rates = gradients[0], rates.T.contiguous()
        of_driven, of_delta, of_write, of_read = (torch.zeros_like(x) for x in (driven, delta, write, read))
        of_rates, g = torch.zeros_like(rates), driven.new_zeros(len(driven), *rates.shape)
        states, passing = [state.clone() for state in _states(driven, delta, rates, write)], torch.empty_like(g)
        for t in range(len(states) - 1, -1, -1):
            torch.sum(states[t] * given[:, t, None], dim=2, out=of_read[:, t])
            g.addcmul_(given[:, t, None], read[:, t, :, None])
            torch.sum(g * write[:, t, :, None], dim=1, out=of_driven[:, t])
            torch.sum(g * driven[:, t, None], dim=2, out=of_write[:, t])
            if t:  # before the first state there is nothing
                g *= torch.mul(delta[:, t, None], rates, out=passing).exp_()
                of_exponent = torch.mul(g, states[t - 1], out=passing)
                of_rates += (of_exponent * delta[:, t, None]).sum(dim=0)
                torch.sum(of_exponent.mul_(rates), dim=1, out=of_delta[:, t])
        return of_driven, of_delta, of_rates.T, of_write, of_read


def _states(driven: Tensor, delta: Tensor, rates: Tensor, write: Tensor) -> Iterator[Tensor]:
    """h_t (b, s, d), one after the other in the same memory; rates: (s, d)."""
    state = driven.new_zeros(len(driven), *rates.shape)
    decay = torch.empty_like(state)
    for t in range(driven.shape[1]):
        state *= torch.mul(delta[:, t, None], rates, out=decay).exp_()
        state.addcmul_(driven[:, t, None], write[:, t, :, None])
        yield state


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
