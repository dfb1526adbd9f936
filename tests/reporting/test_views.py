"""Tables and pictures of an evaluation of views."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation.cases import CUT, WHOLE
from xray2xray.evaluation.detail import Measure, Samples, Sharpness, SharpnessGroup
from xray2xray.evaluation.results import Estimate, Failure
from xray2xray.evaluation.scoring import Cohort, case_rows, summarise
from xray2xray.evaluation.sharpness import BANDS
from xray2xray.evaluation.views import Example, ViewsResult
from xray2xray.reporting.views import views_markdown, write_views


@pytest.fixture(scope="module")
def result(scored: Cohort) -> ViewsResult:
    views_p = np.random.default_rng(0).uniform(0, 8, (37, 16, 16)).astype(np.float32)
    angle = Measure(Estimate(-6.25, (-7.0, -5.0)), None, {"90": -6.25})
    bands = dict.fromkeys(BANDS, angle)
    one = Sharpness(
        bands, bands, bands, angle, {"5": Estimate(0.95, None)}, angle, two_sample_auroc=Estimate(0.75, (0.7, 0.8))
    )
    names = ("first", "second", "v_ceiling"), ("copy_input", "mean_view")
    models, baselines = (dict.fromkeys(some, one) for some in names)
    samples = {"first+sample": Samples(4, angle, angle, None, one)}
    return ViewsResult(
        **vars(summarise(scored)),
        input_yaw_deg=0.0,
        data_range=1.0,
        unit="u",
        cases=case_rows(scored),
        failed=[Failure("bad", FROM_CT, "no NIfTI")],
        skipped_baselines={"ridge_pca": "needs --train"},
        settings={"seed": 0, "remove_couch": True},
        groups={level: summarise(scored.only(level)) for level in scored.levels},
        scans={scan: summarise(scored.only(FROM_CT, scan)) for scan in (WHOLE, CUT)},
        sharpness={level: SharpnessGroup(3, models, baselines, samples) for level in scored.levels},
        skipped_samples={"second+sample": "no trained sampler"},
        examples=[Example("case-0", VIRTUAL, views_p, {"first": views_p})],
    )


def test_tables(result: ViewsResult) -> None:
    text = views_markdown(result)
    assert "### 4 unseen virtual patients" in text
    assert "### 2 cases rendered from real CT" in text
    first = result.groups[VIRTUAL].models["first"]
    assert f"| **first** | {first.psnr.mean:.2f} ± {first.psnr.sd:.2f} | {first.psnr.mean_beyond_30:.2f} |" in text
    assert first.psnr_body.mean == pytest.approx(first.psnr.mean - 10 * np.log10(2)), "twice the error in the body"
    assert f"| {first.psnr_body.mean:.2f} ± {first.psnr_body.sd:.2f} |" in text
    virtual, real = text.split("### 2 cases rendered from real CT")
    assert "whole chest, far" not in virtual
    for scan, name in ((WHOLE, "case-4"), (CUT, "case-5")):
        assert f"| 1 {scan}, far | PSNR | body | SSIM | R2 | {name} |" in real
        block = result.scans[scan].models["first"]
        assert f"| **first** | {block.psnr.mean_beyond_30:.2f} | {block.psnr_body.mean_beyond_30:.2f} |" in real
    assert "| V on the truth (ceiling) |" in text
    assert "| `mean_view` |" in text
    contrast = result.groups[VIRTUAL].contrast
    assert (
        f"Primary contrast, first minus best, PSNR in dB at least 30 degrees from the input: {contrast.mean:+.2f}"
        in text
    )
    assert "Couches were removed." in text
    assert "Not run: ridge_pca (needs --train)." in text
    assert "Not run: second+sample (no trained sampler)." in text
    assert "- bad: no NIfTI" in text


def test_tables_of_sharpness(result: ViewsResult) -> None:
    lines = views_markdown(result).splitlines()
    far = lines[lines.index("#### Sharpness, at least 30 degrees from the input") :]
    rows = [line for line in far[: far.index("#### Sharpness, nearer than 30 degrees")] if line.startswith("| ")]
    names = [row.split(" | ")[0] for row in rows[1:]]
    assert names == [
        "| *first+sample*",
        "| **first**",
        "| **second**",
        "| V on the truth (ceiling)",
        "| `copy_input`",
        "| `mean_view`",
    ]
    assert rows[1].endswith("| -6.250 |  | 0.75 [0.70, 0.80] |"), "no bones were rendered"
    assert "| **first** | 0.950 |  |  |" in far
    title = "#### Samples: a single one, and the best of 4, which knows the truth"
    drawn = [line for line in far[far.index(title) :] if line.startswith("| *")]
    assert drawn[0] == "| *first+sample* | -6.25 [-7.00, -5.00] |  | -6.25 [-7.00, -5.00] |  |  |  |"


def test_files(result: ViewsResult, tmp_path: Path) -> None:
    out = tmp_path / "made"
    text = write_views(out, result)
    assert (out / "views.md").read_text() == text
    assert {path.name for path in out.iterdir()} == {"views.json", "views.md", "views.png", "case-case-0.png"}
    written = json.loads((out / "views.json").read_text())
    assert written["models"]["first"]["psnr"]["mean"] == result.models["first"].psnr.mean
    assert [row["evidence_level"] for row in written["cases"]] == [VIRTUAL] * 4 + [FROM_CT] * 2
    assert "examples" not in written
    assert written["sharpness"][VIRTUAL]["samples"]["first+sample"]["samples"] == 4
    assert written["sharpness"][VIRTUAL]["models"]["first"]["power_db"]["4-8"]["far"]["mean"] == -6.25
    assert np.asarray(Image.open(out / "views.png").convert("L")).std() > 10
