"""Controls of one group of cases, and what is written of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.errors import UsageError
from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation import metrics
from xray2xray.evaluation.actions import CONTROLS
from xray2xray.evaluation.cases import Case
from xray2xray.evaluation.controls import evaluate_controls, measure
from xray2xray.evaluation.metrics import unit
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC
from xray2xray.reporting.controls import controls_markdown, write_controls

Cohort = Callable[..., np.ndarray]
FAR = [i for i, yaw in enumerate(STANDARD_ARC) if abs(yaw) >= 30]


@pytest.fixture(scope="module")
def views_p(ellipsoid_views: Cohort) -> np.ndarray:
    return ellipsoid_views(range(5))


@pytest.fixture(scope="module")
def groups(small_models: dict[str, WorldModel], views_p: np.ndarray) -> dict:
    mean_views = unit(views_p).mean(axis=0)
    cases = [Case(f"case-{i}", VIRTUAL if i < 4 else FROM_CT, one) for i, one in enumerate(views_p)]
    return {
        VIRTUAL: measure(cases[:4], small_models, mean_views),
        FROM_CT: measure(cases[4:], {"direct": small_models["direct"]}, mean_views),
    }


def test_costs_are_paired_differences_far_from_the_input(
    small_models: dict[str, WorldModel], views_p: np.ndarray, groups: dict
) -> None:
    found = groups[VIRTUAL]["models"]["direct"]["controls"]
    assert list(found) == list(CONTROLS)
    assert found["as_it_is"]["cost"] == {"mean": 0, "ci95": [0, 0]}
    frontals = views_p[:4, STANDARD_ARC.index(0.0)]
    own, truth = unit(small_models["direct"].imagine(frontals)), unit(views_p[:4])
    loss = (metrics.psnr(own, truth) - metrics.psnr(own[:, ::-1], truth))[:, FAR]
    assert found["wrong_sign"]["cost"]["mean"] == pytest.approx(loss.mean(), abs=1e-3)
    for name, block in found.items():
        lost = found["as_it_is"]["psnr"]["mean_beyond_30"] - block["psnr"]["mean_beyond_30"]
        assert block["cost"]["mean"] == pytest.approx(lost), name
        assert block["cost"]["ci95"][0] <= block["cost"]["mean"] <= block["cost"]["ci95"][1]


def test_a_single_case_has_no_other_patient_and_no_interval(groups: dict) -> None:
    found = groups[FROM_CT]["models"]["direct"]["controls"]
    assert set(found) == set(CONTROLS) - {"other_patient"}
    assert found["wrong_sign"]["cost"]["ci95"] is None


def test_tables_and_figures(groups: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hits = {"top1": 0.25, "top5": 1.0, "median_rank": 2.0}
    one = {**hits, "top1_ci95": [0.1, 0.4], "per_angle": {"-90": hits, "90": hits}}
    result = {
        "input_yaw_deg": 0.0,
        "unit": "u",
        "controls": CONTROLS,
        "groups": groups,
        "retrieval": {"candidates": 4, "chance": hits, "latents": {"direct": one}, "pixels": {}, "row_sums": {}},
        "failed": [{"case": "bad", "rung": FROM_CT, "reason": "no NIfTI"}],
    }
    write_controls(tmp_path, result)
    text = controls_markdown(result)
    assert capsys.readouterr().out.strip() == text.strip()
    assert "### 4 unseen virtual patients, autoregressive" in text
    assert "### 1 case rendered from real CT, direct" in text
    cost = groups[VIRTUAL]["models"]["direct"]["controls"]["wrong_sign"]["cost"]
    assert f"| {cost['mean']:.2f} [{cost['ci95'][0]:.2f}, {cost['ci95'][1]:.2f}] |" in text
    assert "| `direct`, latents | 0.25 [0.10, 0.40] | 1.00 | 2 | 0.25 | 0.25 |" in text
    assert "- bad: no NIfTI" in text
    assert {path.name for path in tmp_path.iterdir()} == {
        "controls.json",
        "controls.md",
        "controls.png",
        "alignment.png",
    }
    for name in ("controls.png", "alignment.png"):
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 10


def test_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate_controls(out=tmp_path)
