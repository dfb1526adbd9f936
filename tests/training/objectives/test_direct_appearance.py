"""Random looks of direct's inputs: none by default, at no cost; with a share of 1 every input, and no target."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from xray2xray.data.store import ViewStore
from xray2xray.models.transitions.direct import DirectTransition
from xray2xray.models.vision.vqgan import VisionModel
from xray2xray.training.cache import encode_all
from xray2xray.training.objectives.direct import DirectObjective


@pytest.fixture(scope="module")
def objectives(store, recipe) -> dict[float, DirectObjective]:
    torch.manual_seed(0)
    vision, views = VisionModel(recipe.vision), ViewStore.open(store).read_standard()
    latents, _ = encode_all(vision, views)
    made = {}
    for share in (0.0, 0.5, 1.0):
        training = replace(recipe.direct_training, appearance_share=share)
        everyone = torch.ones(len(views))
        made[share] = DirectObjective(DirectTransition(recipe.direct), vision, latents, views, everyone, training)
    return made


def batch_of(objective: DirectObjective) -> dict[str, torch.Tensor]:
    return objective.draw(4, 0.9, torch.Generator().manual_seed(5))


def test_without_a_share_no_pixel_is_touched(objectives):
    plain = batch_of(objectives[0.0])
    assert "look" not in plain
    assert "appearance_share" not in objectives[0.0].configuration()["training"]  # old checkpoints go on
    assert objectives[1.0].configuration()["training"]["appearance_share"] == 1.0


def test_with_one_only_the_inputs_change(objectives):
    plain, looked = batch_of(objectives[0.0]), batch_of(objectives[1.0])
    for name, tensor in plain.items():
        assert torch.equal(tensor, looked[name]), name  # the same patients, angles and targets
    assert len(looked["look"]) == 4
    given = objectives[1.0]._vision[0].encode(looked["look"])
    assert (given - plain["given"]).abs().mean() > 0.01


def test_it_trains_on_what_was_looked_at(objectives):
    objective = objectives[1.0]
    objective.prepare()
    objectives[0.0].load_state_dict(objective.state_dict())
    batch = batch_of(objective)
    loss, figures = objective(batch, "model", 0.9)
    plain, _ = objectives[0.0](batch_of(objectives[0.0]), "model", 0.9)
    assert np.isfinite(loss.item())
    assert loss.item() != plain.item()
    assert "psnr" in figures
