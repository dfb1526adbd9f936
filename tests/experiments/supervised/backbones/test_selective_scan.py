"""The scan in chunks against the recurrence, step by step, and its gradient against automatic differentiation."""

import pytest
import torch
from torch import Tensor

from xray2xray.experiments.supervised.backbones.bi_mamba import BiMamba
from xray2xray.experiments.supervised.backbones.selective_scan import in_chunks, linear_recurrence, selective_scan


def step_by_step(decay: Tensor, drive: Tensor) -> Tensor:
    state, states = torch.zeros_like(drive[:, 0]), []
    for t in range(drive.shape[1]):
        state = decay[:, t] * state + drive[:, t]
        states.append(state)
    return torch.stack(states, dim=1)


@pytest.mark.parametrize("n", [1, 2, 3, 16, 37, 200])
def test_chunks_equal_steps(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    decay = torch.rand(2, n, 3, 4, generator=generator)
    drive = torch.randn(2, n, 3, 4, generator=generator)
    found, expected, weights = [], [], torch.randn(2, n, 3, 4, generator=generator)
    for scan, into in ((linear_recurrence, found), (step_by_step, expected)):
        inputs = [decay.clone().requires_grad_(True), drive.clone().requires_grad_(True)]
        states = scan(*inputs)
        (states * weights).sum().backward()
        into += [states.detach(), *(x.grad for x in inputs)]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_the_gradient_is_the_functions() -> None:
    generator = torch.Generator().manual_seed(0)
    decay, drive = (torch.rand(1, 7, 2, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(linear_recurrence, (decay, drive))


def test_a_selective_scan_is_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    b, n, d, s = 2, 50, 3, 4
    u, write, read = (torch.randn(b, n, k, generator=generator) for k in (d, s, s))
    delta, rates = torch.rand(b, n, d, generator=generator), -torch.arange(1.0, s + 1).repeat(d, 1)
    found = selective_scan(u, delta, rates, write, read, torch.full((d,), 2.0))
    state = torch.zeros(b, d, s)
    for t in range(n):
        decay = torch.exp(delta[:, t, :, None] * rates)
        state = decay * state + delta[:, t, :, None] * write[:, t, None] * u[:, t, :, None]
        y = (state * read[:, t, None]).sum(dim=2) + 2 * u[:, t]
        torch.testing.assert_close(found[:, t], y, atol=1e-5, rtol=1e-5)


def test_a_gpu_scans_as_a_cpu_does() -> None:
    """Values and gradients: what a CPU does step by step, a GPU in chunks."""
    generator = torch.Generator().manual_seed(0)
    b, n, d, s = 2, 37, 3, 4
    u, write, read = (torch.randn(b, n, k, generator=generator) for k in (d, s, s))
    delta, rates = torch.rand(b, n, d, generator=generator), -torch.arange(1.0, s + 1).repeat(d, 1)
    weights, skip, both = torch.randn(b, n, d, generator=generator), torch.zeros(d), []
    for chunks in (False, True):
        given = [x.clone().requires_grad_(True) for x in (u, delta, rates, write, read)]
        found = in_chunks(given[1] * given[0], *given[1:]) if chunks else selective_scan(*given, skip)
        (found * weights).sum().backward()
        both.append([found.detach(), *(x.grad for x in given)])
    for cpu, gpu in zip(*both, strict=True):
        torch.testing.assert_close(cpu, gpu, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(in_chunks(delta * u, delta, rates, write, read), both[0][0], atol=1e-5, rtol=1e-4)


def test_strong_decay_neither_overflows_nor_divides() -> None:
    decay = torch.zeros(1, 400, 1)
    decay[:, ::2] = 1e-30
    drive = torch.ones(1, 400, 1)
    torch.testing.assert_close(linear_recurrence(decay, drive), drive)


def test_each_reader_knows_its_own_side() -> None:
    torch.manual_seed(0)
    block = BiMamba(BiMamba.SIZES["tiny"]).blocks[0].requires_grad_(False)
    x = torch.randn(1, 9, 32)
    changed = x.clone()
    changed[:, 5] += 1
    before = block.forwards(x) - block.forwards(changed)
    assert (before[:, :5] == 0).all()
    assert (before[:, 5:].abs().sum(dim=2) > 0).all()
    seen = torch.randn(1, 9, 16)
    other = seen.clone()
    other[:, 5] += 1
    assert ((block(seen) - block(other)).abs().sum(dim=2) > 0).all()  # both together see everything
