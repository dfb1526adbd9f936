"""Curves rise, nothing is nothing, the same seed is the same look, and a lateral's cost is none by default."""

import pytest
import torch

from xray2xray.models.adaptation.appearance import (
    Appearance,
    blur,
    collimate,
    frame,
    local_contrast,
    monotone_curve,
    randomise,
)

NONE = Appearance(curve=0, contrast=0, blur=0, noise=0, collimation=0, shift=0, zoom=1, ap=0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def views() -> torch.Tensor:
    return 0.9 * torch.rand(3, 1, 32, 32, generator=seeded(1)) * 2 - 0.9


def test_curves_rise_and_keep_the_ends():
    ramp = torch.linspace(-1, 1, 101).expand(5, 1, 1, 101)
    for strength in (0.0, 0.5, 2.0):
        curved = monotone_curve(ramp, strength, seeded())
        assert (curved.diff(dim=-1) >= 0).all()
        torch.testing.assert_close(curved[..., [0, -1]], ramp[..., [0, -1]], atol=1e-5, rtol=0)
    torch.testing.assert_close(monotone_curve(ramp, 0.0, seeded()), ramp)
    assert monotone_curve(ramp, 0.5, seeded())[0].sub(ramp[0]).abs().max() > 0.02


def test_no_change_asked_for_is_no_change(views):
    torch.testing.assert_close(randomise(views, NONE, seeded()), views, atol=1e-5, rtol=0)


def test_the_same_seed_is_the_same_look(views):
    first, again, other = (randomise(views, Appearance(), seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.01
    assert first.abs().max() <= 1


def test_local_contrast_leaves_what_is_flat(views):
    flat = torch.full((1, 1, 32, 32), 0.3)
    torch.testing.assert_close(local_contrast(flat, torch.tensor([0.6])), flat)
    more, less = (local_contrast(views, torch.full((3,), amount)).std() for amount in (0.5, -0.5))
    assert less < views.std() < more


def test_blur_keeps_the_mean_and_has_its_width():
    dot = torch.zeros(2, 1, 33, 33)
    dot[..., 16, 16] = 1.0
    seen = blur(dot, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(seen[0], dot[0])
    offset = torch.arange(33.0) - 16
    assert seen[1].sum() == pytest.approx(1.0, abs=1e-5)
    assert float((seen[1, 0].sum(0) * offset**2).sum()) == pytest.approx(1.0, abs=0.05)  # SD 1, but for the cut tails


def test_collimation_is_a_rectangle_of_air(views):
    for view, cut in zip(views, collimate(views, 1.0, seeded()), strict=True):
        inside = (cut == view)[0]
        assert torch.equal(inside, inside.any(1)[:, None] & inside.any(0)[None])
        assert inside.float().mean() >= 0.6
        assert (cut[0][~inside] == -1).all()


def test_magnification_is_about_the_middle():
    disc = torch.full((1, 1, 64, 64), -1.0)
    row, column = torch.meshgrid(*[torch.arange(64.0) - 31.5] * 2, indexing="ij")
    disc[0, 0][row**2 + column**2 < 15**2] = 1.0
    grown = frame(disc, Appearance(shift=0, zoom=1, ap=1, ap_zoom=1.2), seeded(2))
    ratio = float((grown > 0).sum() / (disc > 0).sum())
    assert 1.0 < ratio < 1.2**2 + 0.02
