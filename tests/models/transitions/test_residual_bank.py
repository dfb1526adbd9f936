"""Samples from the residuals of donors: exact in the given view, one chest, detail of a body."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.models.transitions.residual_bank import ResidualBank, bank_of, residual_of
from xray2xray.projection.frustum import Frustum
from xray2xray.projection.geometry import preset
from xray2xray.projection.lifted import Lifted, extended

SIZE, DEPTH = 64, 8
FRUSTUM = Frustum(preset("chest", SIZE), depth=DEPTH)
CELLS = FRUSTUM.at(SIZE // 2)


def blob(column: float, sign: float = 1.0) -> np.ndarray:
    """Portions (depth, rows, columns) of something round in a body, off the middle plane by `sign`."""
    _, rows, columns = CELLS.shape
    k, i, j = np.meshgrid(np.arange(DEPTH), np.arange(rows), np.arange(columns), indexing="ij")
    body = 0.3 * ((i - rows / 2) ** 2 / 200 + (j - columns / 2) ** 2 / 300 < 1)
    square = (i - rows / 2) ** 2 + (j - column) ** 2 + 4 * (k - 3.5 - 1.5 * sign) ** 2
    return (body + np.exp(-square / 18)).astype(np.float32)


def state_of(portions: np.ndarray) -> Lifted:
    """The mean of a chest whose depths are not known: spread evenly."""
    p = portions.sum(axis=0).repeat(2, axis=0).repeat(2, axis=1)
    return Lifted(FRUSTUM, extended(p[FRUSTUM.detector], FRUSTUM, p[::2, ::2]), np.full_like(portions, 1 / DEPTH))


@pytest.fixture(scope="module")
def bank() -> ResidualBank:
    chests = [blob(20), blob(30, -1)]
    return bank_of([(x, np.broadcast_to(x.mean(axis=0), x.shape)) for x in chests], CELLS)


def test_a_sample_satisfies_the_view_and_is_nowhere_negative(bank: ResidualBank) -> None:
    state = state_of(blob(22))
    sample = bank.sample(state, torch.Generator().manual_seed(0))
    assert sample.w.min() >= 0
    np.testing.assert_array_equal(sample.p, state.p)
    np.testing.assert_allclose(sample.views([0.0])[0], state.p[FRUSTUM.detector], rtol=1e-4, atol=1e-5)
    assert np.abs(sample.views([90.0]) - state.views([90.0])).max() > 0.1


def test_strength_runs_from_the_mean_to_the_sample(bank: ResidualBank) -> None:
    state = state_of(blob(22))

    def sampled(strength: float) -> np.ndarray:
        return bank.sample(state, torch.Generator().manual_seed(0), strength).w

    np.testing.assert_allclose(sampled(0.0), state.w, atol=1e-6)
    steps = [np.abs(sampled(strength) - state.w).mean() for strength in (0.5, 1.0)]
    assert 0 < steps[0] < steps[1]


def test_the_generator_decides(bank: ResidualBank) -> None:
    state = state_of(blob(22))
    samples = [bank.sample(state, torch.Generator().manual_seed(seed), spread=100.0).w for seed in (0, 0, 1, 2, 3, 4)]
    np.testing.assert_array_equal(samples[0], samples[1])
    assert any(np.abs(samples[0] - other).max() > 0.01 for other in samples[2:])
    once = bank.sample(state, torch.Generator().manual_seed(0), spread=100.0, aligned=bank.aligned(state))
    np.testing.assert_array_equal(once.w, samples[0])  # an alignment serves several draws


def test_the_donor_is_moved_to_the_view(bank: ResidualBank) -> None:
    """A donor moved by four columns brings its detail to where the view has it."""
    chest = blob(24)
    affine, error = bank.aligned(state_of(chest))
    still = bank.aligned(state_of(blob(20)))[1]
    assert int(error.argmin()) in (0, 3)  # a as it is, or b (at 30 of 48) mirrored
    assert still[0] < 1e-3
    sample = bank.lent(state_of(chest), 0, False, affine[0])
    true_depth = (chest / chest.sum(axis=0))[:, CELLS.shape[1] // 2, 24]
    at_blob = sample.w[:, CELLS.shape[1] // 2, 24]
    assert np.corrcoef(at_blob, true_depth)[0, 1] > 0.8


def test_the_residual_has_nothing_coarse() -> None:
    flat = np.full(CELLS.shape, 0.3, np.float32)
    found = residual_of(flat, np.zeros_like(flat), CELLS)
    assert np.abs(found).max() < 1e-5


def test_refused(bank: ResidualBank) -> None:
    with pytest.raises(InputError, match="a bank"):
        ResidualBank(bank.residuals, bank.p[:1])
    state = state_of(blob(22))
    coarse = replace(state, w=state.w[:, ::2, ::2])
    with pytest.raises(InputError, match="cells"):
        bank.sample(coarse, torch.Generator())
