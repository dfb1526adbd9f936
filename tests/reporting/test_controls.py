"""Tables and figures of controls, drift and retrieval."""

from pathlib import Path

import numpy as np
from PIL import Image

from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation.actions import CONTROLS
from xray2xray.evaluation.controls import Control, ControlGroup, ControlsResult, Measured
from xray2xray.evaluation.drift import AHEAD_DEG, START_DEG, Drift
from xray2xray.evaluation.results import Estimate, Failure
from xray2xray.evaluation.retrieval import Found, Hits, Retrieval
from xray2xray.evaluation.scoring import Cohort, Scores, block
from xray2xray.reporting.controls import controls_markdown, write_controls


def group_of(cohort: Cohort, forms: list[str]) -> ControlGroup:
    null = cohort.baselines["mean_view"]
    ahead = Cohort(AHEAD_DEG, START_DEG, cohort.names, cohort.evidence_levels, {}, {})
    at = np.s_[:, 1:]
    drift = Drift(
        {"steps_of_5": block(ahead, cohort.models["second"][at], null[at], 0)},
        {name: block(ahead, scores[at], null[at], 0) for name, scores in cohort.baselines.items()},
    )
    controls = {
        name: Control(**vars(block(cohort, cohort.models["first"], null, 0)), cost=Estimate(0.5, (0.25, 0.75)))
        for name in CONTROLS
    }
    baselines = {name: block(cohort, scores, null, 0) for name, scores in cohort.baselines.items()}
    return ControlGroup(len(cohort.names), cohort.names, baselines, dict.fromkeys(forms, Measured(controls, drift)))


def test_tables_and_figures(scored: Cohort, tmp_path: Path) -> None:
    hits = Hits(0.25, 1.0, 2.0)
    found = Found(0.25, 1.0, 2.0, (0.1, 0.4), {"-90": hits, "90": hits})
    result = ControlsResult(
        input_yaw_deg=0.0,
        unit="u",
        data_range=1.0,
        controls=CONTROLS,
        groups={
            VIRTUAL: group_of(scored.only(VIRTUAL), ["one", "two"]),
            FROM_CT: group_of(scored.only(FROM_CT), ["one"]),
        },
        retrieval=Retrieval(4, hits, {"one": found}, {}, {}),
        failed=[Failure("bad", FROM_CT, "no NIfTI")],
        settings={},
    )
    text = write_controls(tmp_path, result)
    assert text == controls_markdown(result)
    assert "### 4 unseen virtual patients, two" in text
    assert "### 2 cases rendered from real CT, one" in text
    assert "| 0.50 [0.25, 0.75] |" in text
    assert "| `one`, latents | 0.25 [0.10, 0.40] | 1.00 | 2 | 0.25 | 0.25 |" in text
    assert "| steps of 5 |" in text
    assert "- bad: no NIfTI" in text
    assert {path.name for path in tmp_path.iterdir()} == {
        "controls.json",
        "controls.md",
        "controls.png",
        "alignment.png",
    }
    for name in ("controls.png", "alignment.png"):
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 10


def test_far_columns_are_empty_where_no_angle_is_far(scored: Cohort) -> None:
    near = np.abs(np.array(scored.yaw_deg)) < 30
    some = Scores(scored.models["first"].mse[:, near], scored.models["first"].ssim[:, near])
    cohort = Cohort(tuple(np.array(scored.yaw_deg)[near]), 0.0, scored.names, scored.evidence_levels, {}, {})
    assert block(cohort, some, some, 0).psnr.mean_beyond_30 is None
