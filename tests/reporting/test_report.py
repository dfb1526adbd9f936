"""The report as a reader meets it: one file, strict JSON, nothing fetched; pictures inside are the views themselves."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.evidence import RADIOGRAPH, VIRTUAL
from xray2xray.evaluation.ood import out_of_distribution
from xray2xray.models.gate import Quality
from xray2xray.projection import preset
from xray2xray.reporting.report import write_result
from xray2xray.reporting.result import Finding, Result
from xray2xray.volume.chest import Chest


@pytest.fixture(scope="module")
def result(ellipsoid_views: Callable[..., np.ndarray]) -> Result:
    views = ellipsoid_views(range(3), size=32)
    axis = (np.arange(40) - 19.5) * 9.0
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    hu = np.where(((x / 150) ** 2 + (y / 100) ** 2 < 1) & (np.abs(z) < 150), 40.0, -1000.0)
    affine = np.diag([9.0, 9.0, 9.0, 1.0])
    affine[:3, 3] = axis[0]
    return Result(
        name='thorax-1000000 <&> "quoted"',
        source="x.nii.gz",
        evidence_level=VIRTUAL,
        geometry=preset("chest", 32),
        form="direct",
        input_p=views[0, 18],
        predicted_p=0.9 * views[0] + 0.1 * views[1],
        samples_p=views[1:],
        truth_p=views[0],
        ceiling_p=views[0] + 0.01,
        baselines_p={"mean_view": views.mean(0), "copy_input": np.repeat(views[0, 18:19], 37, axis=0)},
        scan=Chest(hu, affine),
        volume_size=40,
        out_of_distribution=out_of_distribution(0.05, np.linspace(0.001, 0.01, 101)),
        findings=(Finding("cardiomegaly", 0.75, True),),
        settings={"source": "tiny", "seconds": {"imagine": 1.5}, "path": Path("x"), "none": None, "bad": float("nan")},
        notes=("the grey scale is </script> uncalibrated",),
        quality=Quality(0.4, 1.0, 0.0, 0.5, 0.0, 0, 0.0, 1.0, 0.5, 0.0),
    )


@pytest.fixture(scope="module")
def written(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    write_result(out, result)
    return out


def page_data(folder: Path) -> dict:
    page = (folder / "report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.S)
    assert found
    return json.loads(found.group(1))


def sheet(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


def test_the_page_is_whole_and_fetches_nothing(written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    assert len(page) < 6e6
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            for name, value in attributes:
                if name in ("src", "href"):
                    assert (value or "").startswith("data:"), (tag, name)

    Reader().feed(page)
    assert not re.search(r"(?:https?:)?//[a-z]+\.", page.replace("http://www.w3.org", ""))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    for kind, tag in (("script", "script"), ("style", "style")):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.S)
        wanted = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{wanted}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert not re.search(r'<[^>]+ (?:style|on\w+)="', page)  # which that policy forbids
    assert "Research use only" in page
    assert {"canvas", "svg", "input", "select", "button"} <= set(tags)
    assert "link" not in tags
    assert "&lt;&amp;&gt;" in page
    assert "The grey scale is &lt;/script&gt; uncalibrated." in page
    assert page.index("This may be no frontal chest radiograph") < page.index('class="stage"')


def test_sprite_sheets_hold_the_views_and_the_volume(result: Result, written: Path) -> None:
    data = page_data(written)
    sheets = data["views"]["sheets"]
    assert set(sheets) == {"direct", "sample_1", "sample_2", "mean_view", "copy_input", "truth", "input"}
    assert data["views"]["samples"] == ["sample_1", "sample_2"]
    assert {name: found["count"] for name, found in sheets.items() if found["count"] == 1} == {
        "copy_input": 1,
        "input": 1,
    }
    truth = sheet(sheets["truth"]["uri"])
    assert truth.shape == (6 * 32, 7 * 32)
    assert result.truth_p is not None
    for index in (0, 18, 36):
        row, column = divmod(index, 7)
        tile = truth[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
        assert tile / 25.5 == pytest.approx(result.truth_p[index], abs=0.02)
    assert data["volume"]["shape"] == [40, 40, 40]
    assert data["volume"]["spacing"] == [9.6, 9.6, 9.6]
    planes = sheet(data["volume"]["sheets"]["reconstructed"])
    assert planes.shape == (6 * 40, 7 * 40)
    assert result.volume is not None
    middle = np.clip((result.volume.hu[20, 20, 20] + 1024) / 10, 0, 255)
    assert planes[2 * 40 + 20, 6 * 40 + 20] == pytest.approx(middle, abs=0.51)  # voxel (20, 20, 20)
    assert set(data["volume"]["sheets"]) == {"reconstructed", "truth"}


def test_report_json_has_all_numbers(written: Path) -> None:
    numbers = json.loads((written / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    views = numbers["views"]
    assert set(views["models"]) == {"direct", "v_ceiling"}
    assert views["models"]["v_ceiling"]["psnr"]["mean"] > views["models"]["direct"]["psnr"]["mean"]
    assert views["baselines"]["mean_view"]["r2"]["mean"] == 0
    assert {"scores", "scores_from_true_views"} <= set(numbers["volume"])
    assert numbers["out_of_distribution"]["warn"]
    assert "unlike" in numbers["out_of_distribution"]["words"]
    given = {"source": "tiny", "seconds": {"imagine": 1.5}, "path": "x", "none": None, "bad": None}
    assert numbers["settings"].items() >= given.items()
    assert numbers["settings"]["form"] == "direct"
    assert numbers["findings"][0]["planted"] is True


def test_a_radiograph_has_no_truth_and_claims_none(result: Result, tmp_path: Path) -> None:
    film = Result("film", "x.png", RADIOGRAPH, preset("chest", 32), "direct", result.input_p, result.predicted_p)
    write_result(tmp_path, replace(film, volume_size=16))
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert numbers["views"] is None
    assert "scores" not in numbers["volume"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'data-part="truth"' not in page
    assert "Where the possible chests differ" not in page
    assert "nothing on this page can be checked" in page
    assert "truth" not in page_data(tmp_path)["views"]["sheets"]


def test_probe_results_are_shown(result: Result, tmp_path: Path) -> None:
    probes = {
        "features": ["volumetric", "pixels"],
        "n_train": 20,
        "n_test": 10,
        "labels": {
            "pleural_effusion": {
                "auroc": {"volumetric": {"value": 0.91, "ci95": [0.85, 0.96]}, "pixels": {"value": 0.8, "ci95": None}}
            },
            "edema": {"auroc": None, "reason": "one class only"},
        },
    }
    write_result(tmp_path, replace(result, probes=probes))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "pleural effusion" in page
    assert "0.91 [0.85, 0.96]" in page
    assert "not clinical performance" in page


def test_truth_without_the_mean_view_is_refused(result: Result, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mean_view"):
        write_result(tmp_path, replace(result, baselines_p={}))
