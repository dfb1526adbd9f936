"""Learning how attenuation is distributed along rays: loss, augmentation, and a run that is interrupted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xray2xray.models.transitions.lifting_network import LiftingNetwork
from xray2xray.models.transitions.volumetric import VolumetricConfig, VolumetricTransition
from xray2xray.training.loop import fit
from xray2xray.training.objectives.volumetric import (
    Augmentation,
    VolumetricObjective,
    VolumetricTraining,
    augmented,
    loss,
)
from xray2xray.training.steps import LoopConfig, Machine

CONFIG = VolumetricConfig(size=64, depth=8, widths=(8, 16, 16, 16), heads=2, donors=2, deviations=3)
STILL = Augmentation((0.0, 0.0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class Boxes:
    """Patients that are boxes: smooth enough to be resampled, the body within the grid."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = CONFIG.cells
        k, i, j = np.meshgrid(
            np.linspace(-1, 1, 8), np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij"
        )
        middle = 0.2 * np.sin(number)
        portions = 0.4 * np.exp(-8 * ((k - middle) ** 2 + i**2 + (j - middle) ** 2))
        p = portions.sum(axis=0).repeat(2, axis=0).repeat(2, axis=1)
        return portions.astype(np.float16), p.astype(np.float16)


def batch(count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = [Boxes(count)[number] for number in range(count)]
    return tuple(torch.from_numpy(np.stack(x).astype(np.float32)) for x in zip(*pairs, strict=True))  # type: ignore


def pooled(p: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(p[:, None], 2)[:, 0]


@pytest.mark.parametrize("seed", range(3))
def test_view_and_volume_change_alike(seed: int) -> None:
    portions, p = augmented(*batch(), Augmentation(), torch.Generator().manual_seed(seed))
    assert torch.isnan(p).any()  # what came in from outside the grid
    known = torch.isfinite(pooled(p))
    assert (pooled(p) - portions.sum(dim=1))[known].abs().max() < 0.05 * portions.sum(dim=1).max()


def test_a_bent_patient_keeps_its_line_integrals() -> None:
    bend = replace(STILL, posture=1.0)
    portions, p = augmented(*batch(), bend, torch.Generator().manual_seed(0))
    assert (pooled(p) - portions.sum(dim=1)).abs().max() < 0.05 * portions.sum(dim=1).max()
    assert (portions - batch()[0]).abs().max() > 0.03 * portions.max()


def test_no_change_is_none_and_a_mirror_image_is_one() -> None:
    portions, p = batch()
    same = augmented(portions, p, STILL, torch.Generator())
    torch.testing.assert_close(same[0], portions, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(same[1], p, atol=1e-4, rtol=1e-3)
    turned = Augmentation((0.0, 0.0), 0, 0, 0, 0, 0, 0, 0, 0, 0, mirror=1.0)
    torch.testing.assert_close(
        augmented(portions, p, turned, torch.Generator())[0], portions.flip(-1), atol=1e-4, rtol=1e-3
    )


def test_a_cut_scan_is_air_beyond_its_end() -> None:
    portions, p = batch(64)
    cut = Augmentation((0.0, 0.0), 0, 0, 0, 0, 0, 0, 0, 0, cut=1.0, mirror=0)
    portions, p = augmented(portions, p, cut, torch.Generator().manual_seed(0))
    for end in (0, -1):
        assert p[:, end].abs().max() == 0
        assert portions[:, :, end].abs().max() == 0
    assert (p[:, p.shape[1] // 2].amax(dim=1) > 0).all()


def test_the_truth_is_the_minimum() -> None:
    portions, p = batch(1)
    network = LiftingNetwork(CONFIG)
    network.set_mean(portions[0])  # untrained: it answers with the truth
    network.zero_grad()
    least = loss(network, portions, p)
    least["loss"].backward()
    assert network.out.bias.grad is not None
    assert network.out.bias.grad.abs().max() < 1e-4
    network.set_mean(portions[0] * 1.5)
    assert loss(network, portions, p)["beyond"] > least["beyond"]
    network.set_mean(portions[0].roll(1, dims=0))
    assert loss(network, portions, p)["depth"] > least["depth"]


def test_what_is_not_known_is_not_learned_from() -> None:
    portions, p = batch(1)
    network = LiftingNetwork(CONFIG)
    before = loss(network, portions, p)["loss"]
    hidden = p.clone()
    hidden[:, :4] = torch.nan
    spoiled = portions.clone()
    spoiled[:, :, :2] = 9.0
    assert loss(network, spoiled, p)["loss"] > before
    assert torch.isfinite(loss(network, spoiled, hidden)["loss"])
    torch.testing.assert_close(loss(network, spoiled, hidden)["loss"], loss(network, portions, hidden)["loss"])


def objective() -> VolumetricObjective:
    torch.manual_seed(0)
    weight = torch.tensor([0.1] * 5 + [0.2] * 3)
    virtual = np.array([True] * 5 + [False] * 4)
    found = VolumetricObjective(VolumetricTransition(CONFIG), Boxes(9), weight, virtual, VolumetricTraining())
    found.prepare()
    return found


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    config = LoopConfig(steps=30, batch=4, rate=3e-3, warm_up=3, log_every=5, check_every=10, optimizer="muon")
    machine = Machine(precision="32-true")
    whole = objective()
    before = whole.validate()
    fit(whole, config, machine, tmp_path / "whole")
    assert whole.validate()["depth"] < before["depth"]
    fit(objective(), config, machine, tmp_path / "pieces", stop_at=13)
    resumed = objective()
    fit(resumed, config, machine, tmp_path / "pieces", resume=True)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0, msg=name)
    assert (tmp_path / "whole" / "metrics.jsonl").read_text().count("validation_loss") == 3
    assert len(list((tmp_path / "whole" / "pictures").glob("*.png"))) == 3


def test_donors_are_real_patients_and_leave_residuals_that_the_mean_misses() -> None:
    trained = objective()
    trained.finish()
    bank = trained.result.bank
    assert bank.residuals.shape == (2, *CONFIG.frustum.shape)
    assert np.abs(bank.residuals).max() > 0.01
    for kept, number in zip(bank.p, (5, 7), strict=True):  # first and last of the real ones that are learned from
        np.testing.assert_allclose(kept, Boxes(9)[number][0].astype(np.float32).sum(axis=0), atol=2e-3)


def test_a_batch_holds_patients_as_often_as_their_weight_says() -> None:
    drawn = objective().draw(6, 0.0, torch.Generator().manual_seed(1))
    assert drawn["portions"].shape == (6, 8, *CONFIG.cells)
    assert drawn["p"].shape == (6, 2 * CONFIG.cells[0], 2 * CONFIG.cells[1])
