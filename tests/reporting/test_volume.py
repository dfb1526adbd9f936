"""Tables and pictures of an evaluation of volumes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation.results import Failure
from xray2xray.evaluation.volume_table import CEILING, SAMPLE, TRUTH, CaseRow, Example, VolumeResult, summarise
from xray2xray.reporting.volume import grey, volume_markdown, write_volume

ROWS = ("direct", "direct" + SAMPLE, "mean_volume", CEILING)


def case(number: int, level: str, organs: bool) -> CaseRow:
    rng = np.random.default_rng(number)
    rows = {}
    for row in ROWS:
        psnr = float(rng.uniform(15, 30))
        rows[row] = {"psnr": psnr, "ssim": psnr / 40, "mae_hu": 300 - 5 * psnr, "mae_hu_lung": 200.0}
        rows[row] |= {"lung_dice": 0.5, "x2ct_compat_psnr": psnr + 5}
        if organs:
            rows[row] |= {"bias_hu_heart": -40.0, "mae_hu_heart": 60.0}
            rows[row] |= {"dice_heart": 0.8, "ml_heart": 500.0, "true_ml_heart": 600.0, "ml_error_heart": 100.0}
    if organs:
        rows[TRUTH] = {"dice_heart": 0.9, "ml_heart": 580.0, "true_ml_heart": 600.0, "ml_error_heart": 20.0}
    coverage = {"direct": {"sd_hu": 80.0, "50": 0.5, "50_lung": 0.25}}
    return CaseRow(f"case-{number}", level, rows, coverage)


@pytest.fixture(scope="module")
def result() -> VolumeResult:
    cases = [case(number, VIRTUAL, False) for number in range(12)] + [case(20, FROM_CT, True), case(21, FROM_CT, False)]
    planes = {row: np.random.default_rng(0).uniform(-1000, 400, (3, 16, 16)) for row in ("truth", *ROWS)}
    return VolumeResult(
        given="frontal+lateral",
        size=24,
        extent_mm=384.0,
        forms=["direct"],
        cohort="3 patients of views, from their views",
        groups={
            level: summarise([one for one in cases if one.evidence_level == level]) for level in (VIRTUAL, FROM_CT)
        },
        cases=cases,
        failed=[Failure("bad", FROM_CT, "no NIfTI")],
        refused={"autoregressive": "it takes one view"},
        settings={"seed": 0, "remove_couch": True, "atlases": 9},
        examples=[Example("case-0", VIRTUAL, planes)],
    )


def test_tables(result: VolumeResult) -> None:
    text = volume_markdown(result)
    virtual, real = text.split("### 2 cases rendered from real CT")
    assert "Given: frontal+lateral (yaw 0 and 90 degrees)." in virtual
    assert "3 patients of views" in virtual
    assert "Couches were removed." in virtual
    psnr = result.groups[VIRTUAL].rows["direct"].scores["psnr"]
    assert psnr.ci95 is not None
    assert f"| **direct** | {psnr.mean:.2f} [{psnr.ci95[0]:.2f}, {psnr.ci95[1]:.2f}] |" in virtual
    for label in ("**direct**: a sample", "`mean_volume`", "*all 37 true views (ceiling)*"):
        assert f"| {label} |" in virtual
    gain = result.groups[VIRTUAL].rows["mean_volume"].behind_first["psnr"]
    assert f"| `mean_volume` | {gain.mean:+.2f} [" in virtual
    assert "| `direct`, body | 50.0 [50.0, 50.0] | 80 [80, 80] |" in virtual
    assert "| `direct`, lung | 25.0 [25.0, 25.0] |  |" in virtual
    assert "Organs" not in virtual
    assert "| **direct** | -40 / 60 |" in real, "an organ of one case has no interval"
    assert "Organs as 9 labelled scans" in real
    assert "| *the scan itself (error of the reading)* | 0.900 | -0.100 |" in real
    assert "| **direct** | 500 / 100 |" in real
    assert "| the labels | 600 |" in real
    assert "arXiv 1905.06902" in real
    assert "Not run: autoregressive (it takes one view)." in real
    assert "- bad: no NIfTI" in real


def test_few_cases_are_printed_one_by_one(result: VolumeResult) -> None:
    virtual, real = volume_markdown(result).split("### 2 cases rendered from real CT")
    assert "case-0" not in virtual
    assert "|  | case-20 | case-21 |" in real
    scores = [one.rows["direct"] for one in result.cases[-2:]]
    cells = [f"{one['psnr']:.2f} / {one['ssim']:.3f}" for one in scores]
    assert f"| **direct** | {cells[0]} / 0.80 | {cells[1]} |" in real


def test_without_a_form_there_are_baselines(result: VolumeResult) -> None:
    cases = [replace(one, rows={"mean_volume": one.rows["mean_volume"]}, coverage={}) for one in result.cases[:2]]
    alone = replace(result, forms=[], cases=cases, groups={VIRTUAL: summarise(cases)}, examples=[])
    text = volume_markdown(alone)
    assert "| `mean_volume` |" in text
    assert "paired within" not in text


def test_files(result: VolumeResult, tmp_path: Path) -> None:
    text = write_volume(tmp_path / "out", result)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"volume.json", "volume.md", "case-case-0.png"}
    assert (tmp_path / "out" / "volume.md").read_text() == text
    written = json.loads((tmp_path / "out" / "volume.json").read_text())
    found = written["groups"][VIRTUAL]["rows"]["mean_volume"]["scores"]["psnr"]["mean"]
    assert found == result.groups[VIRTUAL].rows["mean_volume"].scores["psnr"].mean
    assert len(written["cases"]) == 14
    assert "examples" not in written
    assert np.asarray(Image.open(tmp_path / "out" / "case-case-0.png").convert("L")).std() > 10


def test_one_window_for_all() -> None:
    assert grey(np.array([-2000.0, -1000, -300, 400, 3000])).tolist() == [0, 0, 128, 255, 255]
