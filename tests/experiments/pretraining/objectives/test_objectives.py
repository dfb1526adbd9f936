"""A teacher follows, batches hold each patient once, and real collapses are noticed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xray2xray.data.store import ViewStore
from xray2xray.experiments.budget import evenly
from xray2xray.experiments.pretraining.networks.contrastive import ContrastiveConfig, ContrastiveNetwork
from xray2xray.experiments.pretraining.networks.dino import DINOConfig, SelfDistillation
from xray2xray.experiments.pretraining.networks.igpt import ImageGPT
from xray2xray.experiments.pretraining.networks.mae import MAEConfig, MaskedAutoencoder
from xray2xray.experiments.pretraining.objectives.contrastive import ContrastiveObjective
from xray2xray.experiments.pretraining.objectives.dino import DINOObjective, information
from xray2xray.experiments.pretraining.objectives.igpt import ImageGPTObjective
from xray2xray.experiments.pretraining.objectives.mae import MAEObjective
from xray2xray.experiments.pretraining.objectives.objective import PretrainingObjective, found_again, spread
from xray2xray.experiments.pretraining.recipes import Recipe
from xray2xray.experiments.pretraining.train import _read_vision
from xray2xray.training.loop import Machine, fit
from xray2xray.training.objective import TrainingStopped

Small = Callable[[str], Recipe]
PATIENTS = [f"p{n}" for n in range(12)]


@pytest.fixture(scope="module")
def views(chests: Path) -> np.ndarray:
    return ViewStore.open(chests).read_standard()


@pytest.fixture
def make(views: np.ndarray, small: Small, vision_folder: Path) -> Callable[[str], PretrainingObjective]:
    def objective(method: str) -> PretrainingObjective:
        torch.manual_seed(0)
        chosen, data = small(method), (views, PATIENTS, 2)
        if isinstance(chosen.model, MAEConfig):
            return MAEObjective(MaskedAutoencoder(chosen.model), *data)
        if isinstance(chosen.model, ContrastiveConfig):
            return ContrastiveObjective(ContrastiveNetwork(chosen.model), *data)
        if isinstance(chosen.model, DINOConfig):
            assert chosen.training is not None
            return DINOObjective(SelfDistillation(chosen.model), *data, chosen.training)
        vision, _ = _read_vision(vision_folder)
        gpt = ImageGPT(replace(chosen.model, tokens=vision.config.tokens, codebook_size=vision.config.codebook_size))
        return ImageGPTObjective(gpt, vision, np.zeros((12, 37, gpt.config.tokens), np.int32), *data)

    return objective


def test_the_teacher_follows_the_student_and_gets_no_gradient(make: Callable, small: Small, tmp_path: Path) -> None:
    objective = make("dino")
    assert isinstance(objective, DINOObjective)
    untrained = {name: t.clone() for name, t in objective.teacher.named_parameters()}
    fit(objective, small("dino").loop_of(evenly(1, 3)), Machine(precision="32-true"), tmp_path)
    student = dict(objective.student.named_parameters())
    for name, teacher in objective.teacher.named_parameters():
        assert teacher.grad is None
        assert not teacher.requires_grad
        # after the first step the average's memory is 1 / 10
        torch.testing.assert_close(teacher, 0.1 * untrained[name] + 0.9 * student[name].detach())
    assert any(not torch.equal(untrained[name], student[name]) for name in untrained)
    batch = objective.draw(4, 0.0, torch.Generator().manual_seed(0))
    loss, _ = objective(batch, "model", 0.0)
    loss.backward()
    assert all(parameter.grad is None for parameter in objective.teacher.parameters())
    assert [name for name, p in objective.student.named_parameters() if p.grad is None] == []


def test_parts_are_in_the_order_that_the_loss_reads(make: Callable) -> None:
    """Each view of a constant density, its own: the parts of a patient are those of his density."""
    objective = make("dino")
    density = torch.tensor([1.0, 2.0, 4.0, 7.0])
    batch = objective.batch(density[:, None, None, None].expand(4, 1, 32, 32), torch.Generator().manual_seed(0))
    assert batch["large"].shape == (8, 1, 24, 24)
    assert batch["small"].shape == (8, 1, 16, 16)
    for parts in (batch["large"], batch["small"]):
        found = 5 * (parts[:, 0, 0, 0] + 1)
        assert ((found / density.repeat(2) - 1).abs() < 0.11).all()
    assert batch["masked"].any(dim=1).tolist() == [True, False, True, False, False, True, False, True]


def test_nobody_is_in_a_batch_twice(views: np.ndarray, small: Small) -> None:
    """Studies that hold their own number; three of them are one patient's, and the last two are held out."""
    numbered = np.broadcast_to(np.arange(12, dtype=np.uint16)[:, None, None, None] * 4096, (12, 37, 32, 32))
    config = small("contrastive").model
    assert isinstance(config, ContrastiveConfig)
    objective = ContrastiveObjective(ContrastiveNetwork(config), numbered, ["a", "a", "a", *PATIENTS[3:]], 2)
    drawn = set()
    for step in range(30):
        batch = objective.draw(20, 0.0, torch.Generator().manual_seed(step))
        studies = (5 * (batch["x"][::2, 0, 0, 0] + 1) / 1.0).tolist()  # two views of each; p up to 10
        assert len(studies) == 8
        assert sum(value < 2.3 for value in studies) == 1  # 0, 1 or 2, by up to a tenth
        drawn |= {round(value) for value in studies if value < 2.3}
    assert drawn == {0, 1, 2}


def test_a_real_collapse_stops_the_run(make: Callable, small: Small, tmp_path: Path) -> None:
    """A rate that is too high makes the contrastive network answer the same for everyone."""
    loop = replace(small("contrastive").loop_of(evenly(40, 3)), rate=4e-3, warm_up=2, log_every=4)
    with pytest.raises(TrainingStopped, match="same features at step"):
        fit(make("contrastive"), loop, Machine(precision="32-true"), tmp_path)


def test_a_teacher_that_says_the_same_of_all_stops_the_run(
    make: Callable, small: Small, views: np.ndarray, tmp_path: Path
) -> None:
    """So does a teacher that is hardly sharper than its student; features may still differ."""
    chosen = small("dino")
    assert isinstance(chosen.model, DINOConfig)
    assert chosen.training is not None
    torch.manual_seed(0)
    student = SelfDistillation(replace(chosen.model, hidden=32, bottleneck=16, prototypes=24))
    objective = DINOObjective(student, views, PATIENTS, 2, replace(chosen.training, temperature=0.1))
    loop = replace(chosen.loop_of(evenly(24, 3)), rate=2e-3, warm_up=2, log_every=4)
    with pytest.raises(TrainingStopped, match="the teacher says the same of all views"):
        fit(objective, loop, Machine(precision="32-true"), tmp_path)


@pytest.mark.parametrize("method", ["mae", "igpt", "dino", "contrastive"])
def test_constant_outputs_stop_every_run(make: Callable, small: Small, method: str, tmp_path: Path) -> None:
    objective = make(method)
    for name, parameter in objective.named_parameters():
        if "blocks" in name or name.endswith(("proj.weight", "norm.weight", "embed.weight")):
            torch.nn.init.zeros_(parameter)  # nothing of the view enters, or leaves
    loop = replace(small(method).loop_of(evenly(4, 3)), rate=1e-8, log_every=1)
    with pytest.raises(TrainingStopped, match="same features at step"):
        fit(objective, loop, Machine(precision="32-true"), tmp_path)


def test_spread_information_and_retrieval() -> None:
    torch.manual_seed(0)
    assert float(spread(torch.ones(50, 8))) == pytest.approx(0, abs=1e-6)
    assert float(spread(torch.randn(5000, 8))) == pytest.approx(1, abs=0.02)
    assert float(information(torch.full((6, 4), 0.25))) == pytest.approx(0, abs=1e-6)
    assert float(information(torch.eye(4))) == pytest.approx(np.log(4), rel=1e-5)
    assert found_again(np.eye(4), 2 * np.eye(4)) == 1
    assert found_again(np.eye(4), np.eye(4)[[1, 0, 2, 3]]) == 0.5
