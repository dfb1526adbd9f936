"""Samples: zero noise is the linear spread of known residuals, one noise is one chest; further views tell the noise."""

import pytest
import torch

from xray2xray.core.errors import UsageError
from xray2xray.models.transitions import (
    DirectConfig,
    DirectSampler,
    DirectTransition,
    LatentViews,
    Noise,
    Observation,
    SamplerConfig,
)
from xray2xray.models.transitions.sampler import KNOTS_DEG, LinearSpread
from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.projection.geometry import Pose, as_poses

TOKENS, CHANNELS, NOISE = 4, 3, 6
VISION = VisionModel(VisionConfig(size=16, widths=(8, 16), blocks=(1, 1), latent_dim=CHANNELS, codebook_size=8))


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
    predicted, hidden = direct.expected(direct.look(frontal, torch.zeros(2)), yaw)
    linear = predicted + torch.stack([sampler.spread(one, yaw) for one in noise])
    torch.testing.assert_close(sampler.sample(predicted, hidden, yaw, noise), linear)
    torch.testing.assert_close(sampler.sample(predicted, hidden, yaw, torch.zeros(1, 2, 5))[0], predicted)


def observed(direct: DirectTransition, *views: tuple[float, torch.Tensor]):
    return direct.observe([Observation(LatentViews(latents), Pose(yaw), VISION) for yaw, latents in views])


def drawn(direct: DirectTransition, frontal: torch.Tensor, yaw_deg: list[float], samples: int, seed: int = 0):
    return direct.sample(observed(direct, (0.0, frontal)), as_poses(yaw_deg), Noise(samples, generator(seed))).values


@torch.no_grad()
def test_one_noise_is_one_chest(direct: DirectTransition, sampler: DirectSampler) -> None:
    """A sample is the same whichever angles are asked for, and however many others are drawn."""
    frontal, both = torch.randn(2, TOKENS, CHANNELS), direct.with_sampler(sampler)
    some, all_of_it = (drawn(both, frontal, yaw, 3) for yaw in ([90.0], [-45.0, 0.0, 90.0]))
    assert some.shape == (3, 2, 1, TOKENS, CHANNELS)
    assert some[:, :, 0] == pytest.approx(all_of_it[:, :, 2], abs=1e-5)
    assert torch.equal(all_of_it[:, :, 1], frontal.expand(3, -1, -1, -1))
    assert not torch.equal(all_of_it[0, :, 2], all_of_it[1, :, 2])
    one = frontal[:1]
    assert torch.equal(drawn(both, one, [30.0], 1)[0], drawn(both, one, [30.0], 5)[0])
    assert not torch.equal(drawn(both, one, [30.0], 1), drawn(both, one, [30.0], 1, seed=5))


@torch.no_grad()
def test_the_sampler_stays_a_part_of_its_own(direct: DirectTransition, sampler: DirectSampler) -> None:
    both = direct.with_sampler(sampler)
    assert direct.sampler is None
    assert both.sampler is sampler
    assert both.state_dict().keys() == direct.state_dict().keys()


def test_what_cannot_be_drawn(direct: DirectTransition, sampler: DirectSampler) -> None:
    frontal = torch.randn(1, TOKENS, CHANNELS)
    with pytest.raises(UsageError, match="no sampler"):
        drawn(direct, frontal, [30.0], 1)
    both = direct.with_sampler(sampler)
    with pytest.raises(UsageError, match="frontal"):
        both.sample(observed(both, (90.0, frontal)), [Pose(30.0)], Noise(1, generator()))
    with pytest.raises(UsageError, match="no samples"):
        both.sample(observed(both, (0.0, frontal), (90.0, frontal)), [Pose(30.0)], Noise(1, generator()))


# ---------------------------------------------------------------- further given views


@pytest.fixture
def spread() -> LinearSpread:
    torch.manual_seed(0)
    made = LinearSpread((16, 4), NOISE, 8)
    made.loadings.normal_()
    made.loadings[KNOTS_DEG.index(0.0)] = 0
    made.basis.normal_()
    return made


@pytest.mark.parametrize("angles", [[90.0], [-45.0, 60.0], [37.5]])
def test_noise_that_another_view_shows_is_found(spread: LinearSpread, angles: list[float]) -> None:
    noise, yaw = torch.randn(3, NOISE), torch.tensor(angles)
    residuals = spread(noise, yaw.expand(3, -1))
    torch.testing.assert_close(spread.noise_given(residuals, yaw), noise, atol=1e-2, rtol=1e-2)


def test_what_the_spread_cannot_explain_moves_little(spread: LinearSpread) -> None:
    """A residual of white noise of the same size: the expected noise is near zero, its mean under the prior."""
    yaw = torch.tensor([90.0])
    residuals = spread(torch.randn(200, NOISE), yaw.expand(200, -1))
    white = torch.randn_like(residuals) * residuals.std()
    assert spread.noise_given(white, yaw).square().mean() < 0.02


def test_a_second_view_helps_at_the_other_angles(spread: LinearSpread) -> None:
    """The patient is the prediction and the spread, with errors of V's besides."""
    yaw, elsewhere = torch.tensor([90.0]), torch.tensor([[-60.0, 30.0]]).expand(50, -1)
    noise = torch.randn(50, NOISE)
    seen = spread(noise, yaw.expand(50, -1)) + 0.3 * torch.randn(50, 1, 16, 4)
    wanted = spread(noise, elsewhere)
    error = (spread(spread.noise_given(seen, yaw), elsewhere) - wanted).square().mean()
    assert error < 0.2 * wanted.square().mean()


@torch.no_grad()
def test_given_views_are_kept_and_the_others_moved(direct: DirectTransition, sampler: DirectSampler) -> None:
    both = direct.with_sampler(sampler)
    (frontal, lateral), arc = torch.randn(2, 2, TOKENS, CHANNELS), as_poses([-90.0, 0.0, 45.0, 90.0])
    alone = both.predict(observed(both, (0.0, frontal)), arc).values
    fused = both.predict(observed(both, (0.0, frontal), (90.0, lateral)), arc).values
    assert torch.equal(fused[:, 1], frontal)
    assert torch.equal(fused[:, 3], lateral)
    assert not torch.allclose(fused[:, 2], alone[:, 2])
    with pytest.raises(UsageError, match="need a sampler"):
        observed(direct, (0.0, frontal), (90.0, lateral))
    for given, other in ((45.0, 90.0), (0.0, 0.0), (0.0, 180.0)):
        with pytest.raises(UsageError, match="beside a frontal at 0 degrees"):
            observed(both, (given, frontal), (other, lateral))
