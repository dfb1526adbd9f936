"""Training must notice by itself that it no longer learns."""

import numpy as np
import pytest
import torch

from xray2xray.training.autoregressive import AutoregressiveObjective, AutoregressiveTraining
from xray2xray.training.direct import DirectObjective, DirectTraining
from xray2xray.training.objective import TrainingStopped
from xray2xray.training.vision import VisionLosses, VisionObjective
from xray2xray.transition import AutoregressiveTransition, DirectTransition
from xray2xray.vision import VisionModel


@pytest.fixture
def vision(recipe):
    torch.manual_seed(0)
    return VisionModel(recipe.vision)


def test_a_dead_codebook(vision):
    objective = VisionObjective(
        vision, np.zeros((1, 4, 32, 32), np.uint16), torch.ones(1), np.zeros((1, 32, 32), np.uint16), VisionLosses()
    )
    objective.watch(1000, {"perplexity": 20.0, "latent_spread": 0.5})
    with pytest.raises(TrainingStopped, match="codebook is dead"):
        objective.watch(1000, {"perplexity": 0.1})
    with pytest.raises(TrainingStopped, match="same latents"):
        objective.watch(1000, {"latent_spread": 0.0})


def test_a_transition_that_predicts_the_same_for_everyone(vision, recipe):
    direct = DirectObjective(
        DirectTransition(recipe.direct),
        vision,
        np.zeros((2, 37, 16, 8), np.float16),
        np.zeros((2, 37, 32, 32), np.uint16),
        torch.ones(2),
        DirectTraining(),
    )
    gpt = AutoregressiveObjective(
        AutoregressiveTransition(recipe.autoregressive),
        vision,
        np.zeros((2, 37, 16), np.int32),
        np.zeros((2, 37, 32, 32), np.uint16),
        torch.ones(2),
        AutoregressiveTraining(),
    )
    with pytest.raises(TrainingStopped, match="predictions are the same"):
        direct.watch(1000, {"spread": 0.0})
    with pytest.raises(TrainingStopped, match="one token"):
        gpt.watch(1000, {"distinct": 0.001})


def test_pairs_are_adjacent_views(vision, recipe):
    """Tokens that hold their own angle's index show which views a batch is made of."""
    tokens = np.broadcast_to(np.arange(37, dtype=np.int32)[None, :, None], (3, 37, 16))
    objective = AutoregressiveObjective(
        AutoregressiveTransition(recipe.autoregressive),
        vision,
        tokens,
        np.zeros((3, 37, 32, 32), np.uint16),
        torch.ones(3),
        AutoregressiveTraining(),
    )
    batch = objective.draw(200, 0.0, torch.Generator().manual_seed(0))
    latest, following = batch["context"][:, -1, 0], batch["following"][:, 0]
    assert torch.equal(following - latest, batch["direction"] * 2 - 1)
    assert torch.equal(batch["context"][:, 0, 0] - latest, batch["offsets"][:, 0])
    behind = batch["offsets"][:, 0] * (batch["direction"] * 2 - 1)
    assert int(behind.max()) <= 0 <= int(batch["context"].min()) + int(following.min())
    assert set(following.tolist()) == set(range(37))
