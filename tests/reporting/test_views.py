"""Tables and pictures of an evaluation of views."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation.results import Failure
from xray2xray.evaluation.scoring import Cohort, case_rows, summarise
from xray2xray.evaluation.views import Example, ViewsResult
from xray2xray.reporting.views import views_markdown, write_views


@pytest.fixture(scope="module")
def result(scored: Cohort) -> ViewsResult:
    views_p = np.random.default_rng(0).uniform(0, 8, (37, 16, 16)).astype(np.float32)
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
        examples=[Example("case-0", VIRTUAL, views_p, {"first": views_p})],
    )


def test_tables(result: ViewsResult) -> None:
    text = views_markdown(result)
    assert "### 4 unseen virtual patients" in text
    assert "### 2 cases rendered from real CT" in text
    first = result.groups[VIRTUAL].models["first"]
    assert f"| **first** | {first.psnr.mean:.2f} ± {first.psnr.sd:.2f} | {first.psnr.mean_beyond_30:.2f} |" in text
    assert "| V on the truth (ceiling) |" in text
    assert "| `mean_view` |" in text
    contrast = result.groups[VIRTUAL].contrast
    assert (
        f"Primary contrast, first minus best, PSNR in dB at least 30 degrees from the input: {contrast.mean:+.2f}"
        in text
    )
    assert "Couches were removed." in text
    assert "Not run: ridge_pca (needs --train)." in text
    assert "- bad: no NIfTI" in text


def test_files(result: ViewsResult, tmp_path: Path) -> None:
    out = tmp_path / "made"
    text = write_views(out, result)
    assert (out / "views.md").read_text() == text
    assert {path.name for path in out.iterdir()} == {"views.json", "views.md", "views.png", "case-case-0.png"}
    written = json.loads((out / "views.json").read_text())
    assert written["models"]["first"]["psnr"]["mean"] == result.models["first"].psnr.mean
    assert [row["evidence_level"] for row in written["cases"]] == [VIRTUAL] * 4 + [FROM_CT] * 2
    assert "examples" not in written
    assert np.asarray(Image.open(out / "views.png").convert("L")).std() > 10
