"""Samples: zero noise is the linear spread of known residuals, one noise is one chest, a seed is a sample."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import UsageError
from xray2xray.models.transitions import (
    AutoregressiveConfig,
    AutoregressiveTransition,
    DirectConfig,
    DirectSampler,
    DirectTransition,
    SamplerConfig,
    roll_out,
)
from xray2xray.models.transitions.sampler import KNOTS_DEG, LinearSpread

TOKENS, CHANNELS = 4, 3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def direct() -> DirectTransition:
    torch.manual_seed(0)
    return DirectTransition(DirectConfig(TOKENS, CHANNELS, 16, 2, 1, 1, 8, 2, 4, 4)).eval()


@pytest.fixture(scope="module")
def sampler() -> DirectSampler:
    torch.manual_seed(1)
    made = DirectSampler(SamplerConfig(TOKENS, CHANNELS, 16, 8, 2, 1, 8, 2, noise=5, outputs=6)).eval()
    made.spread.fit(torch.randn(40, len(KNOTS_DEG), TOKENS, CHANNELS, generator=generator(2)))
    return made


def test_the_spread_has_the_covariance_of_the_residuals() -> None:
    """Residuals of two hidden factors over all angles and tokens: samples have the same joint covariance."""
    factors = torch.randn(2, len(KNOTS_DEG), TOKENS, CHANNELS, generator=generator(3))
    factors[:, KNOTS_DEG.index(0.0)] = 0
    hidden = torch.randn(4000, 2, generator=generator(4))
    residuals = torch.einsum("pk,kqnc->pqnc", hidden, factors) + 7.0  # a shift is no spread
    spread = LinearSpread((TOKENS, CHANNELS), noise=4, outputs=12)
    spread.fit(residuals)
    noise = torch.randn(4000, 4, generator=generator(5))
    drawn = spread(noise, torch.tensor(KNOTS_DEG).expand(4000, -1))
    wanted = torch.cov(residuals.flatten(1).T)
    assert torch.cov(drawn.flatten(1).T) == pytest.approx(wanted, abs=0.15 * float(wanted.max()))


def test_between_the_knots_it_is_interpolated(sampler: DirectSampler) -> None:
    noise = sampler.noise(1, generator=generator())
    at = sampler.spread(noise, torch.tensor([[30.0, 35.0, 45.0, -15.0, -5.0, 0.0]]))[0]
    assert at[1] == pytest.approx(at[0] + (at[2] - at[0]) / 3, abs=1e-5)
    near, knot = (float(one.square().sum()) for one in (at[4], at[3]))
    assert near == pytest.approx(knot / 3, rel=1e-4), "beside the frontal the variance"
    assert at[5].abs().max() == 0


def test_untrained_the_network_changes_nothing(direct: DirectTransition, sampler: DirectSampler) -> None:
    frontal, noise, yaw = torch.randn(2, TOKENS, CHANNELS), torch.randn(3, 2, 5), torch.tensor([[30.0], [-60.0]])
    seen = direct.observe(frontal, torch.zeros(2))
    expected = direct.predict(seen, yaw) + torch.stack([sampler.spread(one, yaw) for one in noise])
    torch.testing.assert_close(sampler.sample(direct, seen, yaw, noise), expected)
    none = sampler.sample(direct, seen, yaw, torch.zeros(1, 2, 5))[0]
    torch.testing.assert_close(none, direct.predict(seen, yaw))


def test_one_noise_is_one_chest(direct: DirectTransition, sampler: DirectSampler) -> None:
    """A sample is the same whichever angles are asked for; at the input's own it is the input."""
    frontal = torch.randn(2, TOKENS, CHANNELS)
    some, all_of_it = (
        roll_out(direct, frontal, 0.0, yaw, generator(), 3, sampler) for yaw in ([90.0], [-45.0, 0.0, 90.0])
    )
    assert some.shape == (3, 2, 1, TOKENS, CHANNELS)
    assert some[:, :, 0] == pytest.approx(all_of_it[:, :, 2], abs=1e-5)
    assert torch.equal(all_of_it[:, :, 1], frontal.expand(3, -1, -1, -1))
    assert not torch.equal(all_of_it[0, :, 2], all_of_it[1, :, 2])


def test_a_seed_is_a_sample(direct: DirectTransition, sampler: DirectSampler) -> None:
    frontal = torch.randn(1, TOKENS, CHANNELS)
    one = roll_out(direct, frontal, 0.0, [30.0], generator(4), sampler=sampler)
    several = roll_out(direct, frontal, 0.0, [30.0], generator(4), 5, sampler)
    assert torch.equal(one, several[0])
    assert torch.equal(several, roll_out(direct, frontal, 0.0, [30.0], generator(4), 5, sampler))
    assert not torch.equal(one, roll_out(direct, frontal, 0.0, [30.0], generator(5), sampler=sampler))
    assert np.array_equal(roll_out(direct, frontal, 0.0, [30.0], sampler=sampler), roll_out(direct, frontal, 0, [30.0]))


def test_the_autoregressive_form_draws_as_many() -> None:
    gpt = AutoregressiveTransition(AutoregressiveConfig(tokens=4, codebook_size=8, dim=16, heads=2, layers=1)).eval()
    start = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]])
    drawn = roll_out(gpt, start, 0.0, [0.0, 5.0], generator(), samples=6)
    assert drawn.shape == (6, 2, 2, 4)
    assert torch.equal(drawn[:, :, 0], start.expand(6, -1, -1))
    assert len(drawn[:, 0, 1].unique(dim=0)) > 1


def test_what_cannot_be_drawn(direct: DirectTransition, sampler: DirectSampler) -> None:
    frontal = torch.randn(1, TOKENS, CHANNELS)
    with pytest.raises(UsageError, match="no sampler"):
        roll_out(direct, frontal, 0.0, [30.0], generator())
    with pytest.raises(UsageError, match="generator"):
        roll_out(direct, frontal, 0.0, [30.0], samples=3, sampler=sampler)
    with pytest.raises(UsageError, match="frontal"):
        roll_out(direct, frontal, 90.0, [30.0], generator(), sampler=sampler)
