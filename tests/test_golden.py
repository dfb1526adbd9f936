"""The packaged model's figures, as release 0.1 computed them: a restructuring must not change them.

`golden.json` was written by release 0.1 (git tag v0.1) with torch 2.13 on a CPU, by `python tests/test_golden.py FILE
DATA` with that release installed. A figure may differ by 1e-4, absolute plus relative. What probes read is not among
them: since 0.3 the packaged ones are of the volumetric form.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import xray2xray
from xray2xray import WorldModel
from xray2xray.projection import preset, render
from xray2xray.volume import Volume, read_volume, remove_couch

GOLDEN = Path(__file__).with_name("golden.json")
TOLERANCE = 1e-4
SEED = 1_000_001  # a virtual patient of no training
YAW_DEG = [-90.0, -45.0, 5.0, 90.0]


def summary(array: np.ndarray) -> list[float]:
    """Mean, standard deviation, and mean absolute step between neighbours, which a permutation would change."""
    values = np.asarray(array, np.float64)
    return [float(values.mean()), float(values.std()), float(np.abs(np.diff(values.ravel())).mean())]


def model_figures(scan: Volume) -> dict[str, list[float]]:
    """What both forms predict from the scan's frontal, and every kind of features."""
    frontal_p, lateral_p = render(scan, preset("chest", 128), [0.0, 90.0])
    found = {"frontal": summary(frontal_p)}
    for form in ("direct", "autoregressive"):
        model = WorldModel.from_pretrained("tiny", form)
        found[form] = summary(model.imagine(frontal_p, 0.0, YAW_DEG))
        for kind in ("vision", "hidden", "volumetric"):
            found[f"{form}.{kind}"] = summary(model.features(frontal_p, kind))
    model = WorldModel.from_pretrained("tiny", "direct")
    generator = torch.Generator().manual_seed(0)
    found["mirrored"] = summary(model.imagine(frontal_p, 0.0, YAW_DEG, mirrored=True))
    found["samples"] = summary(model.imagine(frontal_p, 0.0, YAW_DEG, generator=generator, samples=3))
    found["second view"] = summary(model.imagine(frontal_p, 0.0, [-45.0, 5.0, 60.0], others={90.0: lateral_p}))
    return found


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a report with its path; of a curve over angles every third."""
    if isinstance(value, dict):
        keys = [key for key in value if key not in ("probes", "settings", "versions")]
        for key in keys[::3] if name.endswith("per_angle") else keys:
            yield from numbers(value[key], f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, f"{name}.{index}")
    elif isinstance(value, float):
        yield name, value


def report_figures(out: Path) -> dict[str, float]:
    """The numbers of report.json, and a summary of the views and of the volume beside it."""
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    found = {f"report.{name}": value for name, value in numbers(report) if not name.startswith("yaw_deg")}
    hu = read_volume(out / "volume.nii.gz").hu
    found |= {f"volume.{index}": value for index, value in enumerate(summary(hu))}
    return found


def phantom_figures(folder: Path) -> dict[str, list[float]]:
    xray2xray.phantom(folder / "phantom", seed=SEED)
    return model_figures(read_volume(folder / "phantom" / f"thorax-{SEED}.nii.gz"))


def demo_figures(folder: Path) -> dict[str, float]:
    xray2xray.demo(folder / "demo", form="direct")
    return report_figures(folder / "demo")


def ct_of(data: Path) -> Path:
    return data / "ct" / "Lung_Dx-A0001_2mm.nii.gz"


def reconstruct_figures(data: Path, folder: Path) -> dict[str, float]:
    xray2xray.reconstruct(ct_of(data), folder / "reconstruct", form="direct", remove_couch=True)
    return report_figures(folder / "reconstruct")


def agree(found: dict[str, Any], expected: dict[str, Any]) -> None:
    missing = expected.keys() - found.keys()
    assert not missing, f"no longer reported: {sorted(missing)}"
    wrong = {
        name: (found[name], value)
        for name, value in expected.items()
        if not np.allclose(found[name], value, rtol=TOLERANCE, atol=TOLERANCE)
    }
    assert wrong == {}, "found, expected"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_models_on_a_virtual_patient(golden: dict[str, Any], tmp_path: Path) -> None:
    agree(phantom_figures(tmp_path), golden["phantom"])


def test_demo(golden: dict[str, Any], tmp_path: Path) -> None:
    agree(demo_figures(tmp_path), golden["demo"])


@pytest.mark.data
def test_models_on_a_real_ct(golden: dict[str, Any], real_data: Path) -> None:
    agree(model_figures(remove_couch(read_volume(ct_of(real_data)))), golden["ct"])


@pytest.mark.data
def test_reconstruct_a_real_ct(golden: dict[str, Any], real_data: Path, tmp_path: Path) -> None:
    agree(reconstruct_figures(real_data, tmp_path), golden["reconstruct"])


def record(path: Path, data: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        found = {
            "phantom": phantom_figures(out),
            "demo": demo_figures(out),
            "ct": model_figures(remove_couch(read_volume(ct_of(data)))),
            "reconstruct": reconstruct_figures(data, out),
        }
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(Path(sys.argv[1]), Path(sys.argv[2]))
