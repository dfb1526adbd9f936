import math

import pytest
import torch

from xray2xray.experiments.pretraining.networks.dino import (
    TEMPERATURE,
    DINOConfig,
    SelfDistillation,
    distillation_loss,
    koleo,
    sinkhorn,
)
from xray2xray.experiments.supervised.backbones.vit import ViTConfig

CONFIG = DINOConfig(ViTConfig(16, 1, 2, patch=8, picture=32, registers=2), 16, 8, 12)


def test_prototypes_are_named_alike_often() -> None:
    torch.manual_seed(0)
    scores = torch.rand(60, 12) + torch.linspace(0, 0.5, 12)  # some prototypes are nearer to everything
    assert scores.argmax(dim=1).bincount(minlength=12).max() > 15
    named = sinkhorn(scores, 0.05, rounds=50)
    torch.testing.assert_close(named.sum(dim=1), torch.ones(60))
    torch.testing.assert_close(named.sum(dim=0), torch.full((12,), 60 / 12), atol=0.01, rtol=0)
    assert sinkhorn(torch.zeros(3, 4), 0.05).unique().item() == pytest.approx(1 / 4)


def test_the_loss_is_cross_entropy() -> None:
    teacher = torch.eye(3)
    student = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]])) * TEMPERATURE
    expected = -(math.log(0.5) + math.log(0.6) + math.log(0.8)) / 3
    assert float(distillation_loss(student, teacher)) == pytest.approx(expected, rel=1e-5)


def test_koleo_pushes_neighbours_apart() -> None:
    angles = torch.tensor([0.0, 0.1, 2.0, 2.5], requires_grad=True)
    circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    chords = [2 * math.sin(half) for half in (0.05, 0.05, 0.25, 0.25)]
    loss = koleo(3 * circle)  # lengths do not count
    assert float(loss.detach()) == pytest.approx(-sum(map(math.log, chords)) / 4, rel=1e-4)
    loss.backward()
    assert angles.grad is not None
    assert angles.grad[0] > 0 > angles.grad[1]  # a step against the gradient parts them


def test_masked_patches_are_not_seen() -> None:
    torch.manual_seed(0)
    model = SelfDistillation(CONFIG)
    x, masked = torch.randn(2, 1, 32, 32), torch.zeros(2, 16, dtype=torch.bool)
    masked[:, 5] = True
    features, patches = model(x, masked)
    assert features.shape == (2, 16)
    assert patches.shape == (2, 16, 16)
    other = x.clone()
    other[:, :, 8:16, 8:16] = 0  # the sixth patch
    assert torch.equal(model(other, masked)[1], patches)
    assert not torch.equal(model(other)[1], model(x)[1])
    scores = model.head(patches)
    assert scores.shape == (2, 16, 12)
    assert scores.abs().max() <= 1 + 1e-5
