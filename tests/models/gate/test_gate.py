"""The gate: what it says of frontals and of mistakes, and that no curve of grey values changes it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.models.gate import Gate, Quality
from xray2xray.models.gate.gate import clipped, packaged
from xray2xray.models.gate.network import GateConfig, GateNetwork, ranks

GOOD = Quality(
    chest=1.0,
    whole=1.0,
    inverted=0.0,
    ap=0.0,
    turned=0.0,
    degrees=0,
    mirrored=0.0,
    unlike=1.0,
    percentile=0.5,
    clipped=0.0,
)


def test_ranks_follow_no_rising_curve_and_stand_for_equal_shares() -> None:
    steps = np.arange(256, dtype=np.float32).repeat(16).reshape(64, 64)
    (rank,) = ranks(steps, 64)
    assert torch.allclose(rank.flatten()[::16], torch.linspace(-1 + 1 / 256, 1 - 1 / 256, 256), atol=1e-6)
    plain = np.zeros((64, 64), np.float32)
    plain[:, 32:] = 7.0
    assert ranks(plain, 64).unique().tolist() == [-0.5, 0.5], "two halves are the middles of their ranks"
    assert torch.equal(ranks(plain, 64), ranks(3 * plain - 5, 64))


def test_every_way_a_picture_can_be_wrong_is_said() -> None:
    assert GOOD.words == "An upright frontal chest radiograph, PA by its looks, so the patient probably stood."
    assert not GOOD.refusal
    cannot = replace(GOOD, ap=0.5)
    assert cannot.projection == "cannot tell"
    assert "cannot tell" in cannot.words
    assert "no frontal chest radiograph" in replace(GOOD, chest=0.01).refusal
    assert "--force" in replace(GOOD, chest=0.01).refusal
    assert "turn it by 180 degrees" in replace(GOOD, turned=0.999, degrees=180).refusal
    assert "turn it clockwise" in replace(GOOD, turned=0.999, degrees=90).refusal
    mirrored = replace(GOOD, mirrored=0.99)
    assert not mirrored.refusal, "situs inversus exists"
    assert "situs inversus" in mirrored.words
    for one, word in (
        ("whole", "cut off"),
        ("inverted", "inverted"),
        ("clipped", "plain black"),
        ("percentile", "unlike"),
    ):
        assert word in replace(GOOD, **{one: 0.0 if one == "whole" else 1.0}).words


def test_clipped_is_the_plain_share_of_the_middle() -> None:
    gray = np.random.default_rng(0).uniform(0.1, 0.9, (100, 100))
    gray[0, 0], gray[0, 1] = 0.0, 1.0
    assert clipped(gray) == 0
    gray[20:50, 20:80] = 1.0
    assert clipped(gray) == pytest.approx(0.5)


def test_components_explain_what_they_were_learned_from() -> None:
    network = GateNetwork(GateConfig())
    x = ranks(np.random.default_rng(0).normal(size=(41, 64, 64)), 64)
    with torch.no_grad():
        network.learn_frontals(x, x)
    assert float(network.residuals(x).max()) < 1e-4, "41 pictures about their mean lie in a space of 40 components"
    other = ranks(np.random.default_rng(1).normal(size=(1, 64, 64)), 64)
    ratio, percentile = network.unlike(other)
    assert ratio > 100
    assert percentile == 1


@pytest.mark.parametrize("gray", [np.zeros((64, 32)), np.full((64, 64), np.nan)])
def test_what_is_no_square_picture_is_refused(gray: np.ndarray) -> None:
    with pytest.raises(InputError, match="square pictures of finite"):
        packaged()(gray)


def test_virtual_frontals_pass_and_their_mistakes_do_not() -> None:
    """A virtual patient that no training has seen."""
    from xray2xray.phantoms import patient_volume
    from xray2xray.projection import preset, render
    from xray2xray.radiograph.display import radiograph

    frontal, lateral = radiograph(render(patient_volume(1_000_003), preset("chest", 128), [0.0, 90.0])).astype(float)
    gate = packaged()
    assert not gate(frontal).warnings
    assert gate(np.sqrt(frontal)).chest == pytest.approx(gate(frontal).chest, abs=0.05), "a curve changes nothing"
    assert "turn it by 180" in gate(frontal[::-1, ::-1]).refusal
    assert gate(np.rot90(frontal)).degrees == 90
    assert "turn it clockwise" in gate(np.rot90(frontal)).refusal
    assert gate(255 - frontal).inverted > 0.5
    assert gate(lateral).refusal
    assert gate(np.random.default_rng(0).normal(size=(128, 128))).refusal


def test_a_folder_without_a_gate_is_named() -> None:
    with pytest.raises(InputError, match="holds no gate"):
        Gate.from_pretrained("cyclegan")
