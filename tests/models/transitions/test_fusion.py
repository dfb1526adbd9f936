"""Several given views: exact where the model is, harmless where it is not."""

import pytest
import torch
from xray2xray.models.transitions.fusion import noise_given

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

NOISE = 6


@pytest.fixture
def spread() -> LinearSpread:
    torch.manual_seed(0)
    made = LinearSpread((16, 4), NOISE, 8)
    made.loadings.normal_()
    made.loadings[KNOTS_DEG.index(0.0)] = 0
    made.basis.normal_()
    return made


@pytest.mark.parametrize("angles", [[90.0], [-45.0, 60.0], [37.5]])
def test_noise_that_another_view_shows_is_found(spread, angles):
    noise, yaw = torch.randn(3, NOISE), torch.tensor(angles)
    missed = spread(noise, yaw.expand(3, -1))
    torch.testing.assert_close(noise_given(spread, missed, yaw), noise, atol=1e-2, rtol=1e-2)


def test_what_the_spread_cannot_explain_moves_little(spread):
    """A residual of white noise of the same size: the noise is drawn to zero, its mean under the prior."""
    yaw = torch.tensor([90.0])
    missed = spread(torch.randn(200, NOISE), yaw.expand(200, -1))
    white = torch.randn_like(missed) * missed.std()
    assert noise_given(spread, white, yaw).square().mean() < 0.02


def test_a_second_view_helps_at_the_other_angles(spread):
    """The patient is what the prediction and the spread say, with errors of V's besides."""
    yaw, elsewhere = torch.tensor([90.0]), torch.tensor([[-60.0, 30.0]]).expand(50, -1)
    noise = torch.randn(50, NOISE)
    seen = spread(noise, yaw.expand(50, -1)) + 0.3 * torch.randn(50, 1, 16, 4)
    wanted = spread(noise, elsewhere)
    error = (spread(noise_given(spread, seen, yaw), elsewhere) - wanted).square().mean()
    assert error < 0.2 * wanted.square().mean()


def test_given_views_are_kept_and_the_others_moved():
    torch.manual_seed(0)
    direct = DirectTransition(DirectConfig(tokens=4, latent_dim=6, dim=32, heads=4, trunk=1, head=1))
    sampler = DirectSampler(
        SamplerConfig(tokens=4, latent_dim=6, hidden=32, dim=16, heads=2, blocks=1, condition_dim=8, noise=3, outputs=5)
    )
    sampler.spread.loadings.normal_()
    sampler.spread.basis.normal_()
    frontal, lateral = torch.randn(2, 2, 4, 6)
    arc = [-90.0, 0.0, 45.0, 90.0]
    alone = roll_out(direct, frontal, 0.0, arc)
    both = roll_out(direct, frontal, 0.0, arc, sampler=sampler, others={90.0: lateral})
    assert torch.equal(both[:, 1], frontal)
    assert torch.equal(both[:, 3], lateral)
    assert not torch.allclose(both[:, 2], alone[:, 2])
    with pytest.raises(UsageError, match="a sampler beside it"):
        roll_out(direct, frontal, 0.0, arc, others={90.0: lateral})
    gpt = AutoregressiveTransition(AutoregressiveConfig(tokens=4, codebook_size=8, dim=32, heads=4, layers=1))
    with pytest.raises(UsageError, match="direct form"):
        roll_out(gpt, torch.zeros(2, 4, dtype=torch.long), 0.0, arc, sampler=sampler, others={90.0: lateral})
    with pytest.raises(UsageError, match="no samples"):
        roll_out(direct, frontal, 0.0, arc, torch.Generator(), sampler=sampler, others={90.0: lateral})
    for given, other in ((45.0, 90.0), (0.0, 0.0), (0.0, 180.0), (0.0, float("nan")), (0.0, float("inf"))):
        with pytest.raises(UsageError, match="beside a frontal at 0 degrees"):
            roll_out(direct, frontal, given, arc, sampler=sampler, others={other: lateral})
