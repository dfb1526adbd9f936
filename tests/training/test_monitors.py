"""Training must notice by itself that it no longer learns."""

import numpy as np
import pytest
import torch

from xray2xray.models.transitions import AutoregressiveTransition, DirectTransition
from xray2xray.models.vision import VisionModel
from xray2xray.training.loop import CHECKPOINT, LoopConfig, Machine, fit
from xray2xray.training.objective import Objective, TrainingStopped
from xray2xray.training.objectives.autoregressive import AutoregressiveObjective, AutoregressiveTraining
from xray2xray.training.objectives.direct import DirectObjective, DirectTraining
from xray2xray.training.objectives.vision import VisionLosses, VisionObjective
from xray2xray.training.presets import Preset


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
        objective.watch(1000, {"perplexity": 1.5})
    with pytest.raises(TrainingStopped, match="same latents"):
        objective.watch(1000, {"latent_spread": 0.0})


def alike(stage: str, vision: VisionModel, recipe: Preset) -> Objective:
    """A stage whose patients do not differ in anything, so that there is nothing to learn but one answer."""
    views = np.full((4, 37, 32, 32), 9000, np.uint16)
    if stage == "vision":
        return VisionObjective(vision, views, torch.ones(4), views[0, :1], VisionLosses(critic_width=8))
    if stage == "direct":
        latents = np.ones((4, 37, 16, 8), np.float16)
        return DirectObjective(
            DirectTransition(recipe.stages["direct"].network), vision, latents, views, torch.ones(4), DirectTraining()
        )
    tokens = np.zeros((4, 37, 16), np.int32)
    gpt = AutoregressiveTransition(recipe.stages["autoregressive"].network)
    return AutoregressiveObjective(gpt, vision, tokens, views, torch.ones(4), AutoregressiveTraining())


@pytest.mark.parametrize(
    ("stage", "message"),
    [("vision", "same latents"), ("direct", "predictions are the same"), ("autoregressive", "one token")],
)
def test_a_collapse_stops_a_real_run(stage, message, vision, recipe, tmp_path):
    objective = alike(stage, vision, recipe)
    objective.prepare() if stage == "autoregressive" else None
    objective.patience = 5
    loop = LoopConfig(steps=100, batch=16, warm_up=2, log_every=3)
    with pytest.raises(TrainingStopped, match=message) as stopped:
        fit(objective, loop, Machine(precision="32-true"), tmp_path)
    assert f"{stage}: " in str(stopped.value)
    assert not (tmp_path / CHECKPOINT).exists()


def test_pairs_are_adjacent_views(vision, recipe):
    """Tokens that hold their own angle's index show which views a batch is made of."""
    tokens = np.broadcast_to(np.arange(37, dtype=np.int32)[None, :, None], (3, 37, 16))
    objective = AutoregressiveObjective(
        AutoregressiveTransition(recipe.stages["autoregressive"].network),
        vision,
        tokens,
        np.zeros((3, 37, 32, 32), np.uint16),
        torch.ones(3),
        AutoregressiveTraining(),
    )
    batch = objective.draw(200, 0.0, torch.Generator().manual_seed(0))
    latest, following = batch["context"][:, -1, 0], batch["following"][:, 0]
    assert torch.equal(following - latest, batch["action"] * 2 - 1)
    assert torch.equal(batch["context"][:, 0, 0] - latest, batch["offsets"][:, 0])
    behind = batch["offsets"][:, 0] * (batch["action"] * 2 - 1)
    assert int(behind.max()) <= 0 <= int(batch["context"].min()) + int(following.min())
    assert set(following.tolist()) == set(range(37))
