"""Training from a CSV of a frontal and a lateral: it learns, says what it left out, and resumes exactly."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.blobs import blob_views
from xray2xray.core.errors import InputError, UsageError
from xray2xray.experiments.pairs import train as posed_module
from xray2xray.experiments.pairs.posed_file import read_transition
from xray2xray.experiments.pairs.train import RowsObjective, train_posed
from xray2xray.training import loop

STUDIES, TRAINED, SIZE = 40, 30, 32


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Blobs from 0 and 90 degrees (places 18 and 36 of the standard arc); one study has no frontal, one is alone."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = [
        ("alone", 0, "000-0.npy", "train"),
        ("sideways", 45, "000-0.npy", "train"),
        ("sideways", 90, "000-90.npy", "train"),
    ]
    for study in range(STUDIES):
        views = blob_views(study)
        for yaw_deg, place in ((0, 18), (90, 36)):
            np.save(folder / f"{study:03d}-{yaw_deg}.npy", views[place])
            rows.append((f"{study:03d}", yaw_deg, f"{study:03d}-{yaw_deg}.npy", "train" if study < TRAINED else "test"))
    with (folder / "cohort.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("study", "yaw_deg", "image", "split"), *rows])
    return folder / "cohort.csv"


@pytest.fixture(scope="module")
def trained(cohort, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run")
    assert train_posed(cohort, out, size=SIZE, steps=12) == out / "model"
    return out


def test_unseen_laterals_are_better_than_their_mean(trained, cohort):
    model, given_yaw_deg = read_transition(trained / "model")
    assert given_yaw_deg == 0
    studies = posed_module.read_posed(cohort).part("test")
    given, yaw_deg, truth = map(torch.from_numpy, posed_module.pairs(studies, 0.0, SIZE))
    missed = (model(given, yaw_deg) - truth).square().mean()
    assert len(truth) == STUDIES - TRAINED
    assert missed < 0.9 * (model.mean_view(yaw_deg) - truth).square().mean()


def test_what_is_left_out_is_said(cohort, tmp_path, caplog):
    train_posed(cohort, tmp_path, size=SIZE, steps=1)
    said = caplog.text
    assert "left out: alone: one view only" in said
    assert "left out: sideways: no view at 0 degrees" in said


@pytest.mark.parametrize("stage", ["posed", "rows"])
def test_resuming_is_exact(trained, cohort, stage, tmp_path, monkeypatch):
    monkeypatch.setattr(posed_module, "LOOP", posed_module.replace(posed_module.LOOP, check_every=6))
    monkeypatch.setattr(posed_module, "ROWS_LOOP", posed_module.replace(posed_module.ROWS_LOOP, check_every=6))

    class Interrupted(Exception):
        pass

    def interrupted(objective, *arguments):
        fit(objective, *arguments, stop_at=6 if objective.stage == stage else None)
        if objective.stage == stage:
            raise Interrupted

    fit = loop.fit
    with monkeypatch.context() as patch:
        patch.setattr(posed_module, "fit", interrupted)
        with pytest.raises(Interrupted):
            train_posed(cohort, tmp_path, size=SIZE, steps=12)
    train_posed(cohort, tmp_path, size=SIZE, steps=12, resume=True)
    whole, resumed = (read_transition(folder / "model")[0].state_dict() for folder in (trained, tmp_path))
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_networks_begin_at_the_kernels_own_error(trained):
    model, _ = read_transition(trained / "model")
    for member in model.members:
        torch.nn.init.zeros_(member.out.weight)
        torch.nn.init.zeros_(member.out.bias)
    objective = RowsObjective(model)
    batch = objective.draw(64, 0.0, torch.Generator().manual_seed(0)) | {"share": torch.zeros(3, 64, 1, 1)}
    _, figures = objective(batch, "model", 0.0)
    assert float(figures["missed"]) == pytest.approx(1.0, rel=0.5)


def test_refusals(cohort, trained):
    with pytest.raises(UsageError, match="--resume"):
        train_posed(cohort, trained, size=SIZE)
    with pytest.raises(InputError, match="0 pairs of a view at 30 degrees"):
        train_posed(cohort, trained.parent / "none", given_yaw_deg=30.0, size=SIZE)


def test_an_image_that_cannot_be_read_costs_its_study_only(cohort, tmp_path, caplog):
    rows = [row for row in cohort.read_text().splitlines() if not row.startswith("000,90")]
    (cohort.parent / "damaged.csv").write_text("\n".join([*rows, "000,90,damaged.png,train"]))
    (cohort.parent / "damaged.png").write_bytes(b"no picture")
    train_posed(cohort.parent / "damaged.csv", tmp_path, size=SIZE, steps=1)
    assert "left out: 000: " in caplog.text


def test_the_command_takes_a_table(cohort, tmp_path, refused):
    posed_module.main([str(cohort), "--out", str(tmp_path / "run"), "--steps", "2"])
    model, _ = read_transition(tmp_path / "run" / "model")
    assert model.config.size == 112
    (tmp_path / "empty.csv").write_text("")
    said = refused(posed_module.main, [tmp_path / "empty.csv", "--out", tmp_path / "other"])
    assert said.startswith("1 ")
    assert "error: " in said
    assert "no column" in said
    assert not (tmp_path / "other").exists()
