"""The alignment loss: least where every prediction is nearest to its own view, then to its patient's others."""

from dataclasses import replace

import pytest
import torch

from xray2xray.data.store import ViewStore
from xray2xray.models.transitions.direct import DirectTransition
from xray2xray.models.vision.vqgan import VisionModel
from xray2xray.training.alignment import OTHERS, alignment_loss, soft_targets
from xray2xray.training.cache import encode_all
from xray2xray.training.objectives.direct import DirectObjective, DirectTraining


def test_targets() -> None:
    found = soft_targets(2, 3)
    assert found.sum(dim=1) == pytest.approx(torch.ones(6))
    assert found[0].tolist() == pytest.approx([1 - OTHERS, OTHERS / 2, OTHERS / 2, 0, 0, 0])
    assert torch.equal(found, found.T)
    assert torch.equal(soft_targets(4, 1), torch.eye(4))


def views(seed: int = 0) -> torch.Tensor:
    """Latents (8, 3, 4, 16): each patient has something of his own, each view as well."""
    generator = torch.Generator().manual_seed(seed)
    patient, view = torch.randn(8, 1, 1, 16, generator=generator), torch.randn(8, 3, 1, 16, generator=generator)
    return (2 * patient + view).expand(-1, -1, 4, -1).contiguous()


def test_right_views_are_better_than_the_patients_others_and_these_than_strangers() -> None:
    wanted = views()
    right, other_view, stranger = (
        float(alignment_loss(predicted, wanted)) for predicted in (wanted, wanted.roll(1, 1), wanted.roll(1, 0))
    )
    assert right < other_view < stranger


def test_it_is_symmetric_and_its_gradient_finite() -> None:
    wanted, predicted = views(), views(1).requires_grad_(True)
    loss = alignment_loss(predicted, wanted)
    loss.backward()
    assert torch.isfinite(predicted.grad).all()
    centred = [x - x.mean(dim=(0, 1)) for x in (predicted.detach(), wanted)]
    assert float(alignment_loss(*centred)) == pytest.approx(float(alignment_loss(*centred[::-1])), rel=1e-5)


def test_training_with_it(store, recipe) -> None:
    torch.manual_seed(0)
    vision, stored = VisionModel(recipe.vision), ViewStore.open(store).read_standard()
    latents, _ = encode_all(vision, stored)
    found = {}
    for weight in (0.0, 0.5):
        training = replace(recipe.direct_training, alignment=weight)
        torch.manual_seed(1)
        model = DirectTransition(recipe.direct)
        objective = DirectObjective(model, vision, latents, stored, torch.ones(len(stored)), training)
        objective.prepare()
        found[weight] = objective(objective.draw(4, 0.0, torch.Generator().manual_seed(0)), "model", 0.0)
        assert ("alignment" in objective.configuration()["training"]) == (weight > 0)  # old checkpoints go on
    loss, figures = found[0.5]
    assert loss.item() == pytest.approx(found[0.0][0].item() + 0.5 * figures["alignment"].item(), rel=1e-5)
    with pytest.raises(ValueError, match="alignment"):
        DirectTraining(alignment=-1.0)
