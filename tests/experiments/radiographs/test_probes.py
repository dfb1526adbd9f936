"""Heads on real radiographs: nobody is answered for by a head that saw him, and what is planted is found."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.experiments.radiographs import probes as real_radiographs
from xray2xray.experiments.radiographs.probes import Task, answered, main, markdown, measure, r2, read_tasks, scored


def planted(metric: str, n: int = 200, each: int = 2) -> tuple[np.ndarray, Task]:
    """Features (n, 30), the first of which holds the truth; each patient has several pictures."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 30))
    truth = x[:, 0] + 0.3 * rng.normal(size=n)
    truth = truth if metric == "r2" else (truth > 0).astype(float)
    return x, Task("planted", metric, np.arange(n), truth, np.arange(n) // each)


@pytest.mark.parametrize("metric", ["r2", "auroc"])
def test_what_is_planted_is_found(metric: str) -> None:
    x, task = planted(metric)
    answers = {"planted": answered(x, task), "pixels": answered(x[:, 1:], task)}
    row = scored(task, answers, "planted")
    assert row["value"] > 0.8
    assert row["delta_ci95"][0] > 0.2
    assert scored(task, answers, "pixels")["delta"] == 0


def test_a_patient_is_never_answered_for_by_who_saw_him() -> None:
    """Each patient's own mark tells his label, and nobody else's: seen in training, it would tell all."""
    rng = np.random.default_rng(1)
    owner = np.repeat(np.arange(60), 4)
    label = rng.integers(0, 2, 60).astype(float)[owner]
    marks = np.eye(60)[owner]
    task = Task("marks", "auroc", np.arange(240), label, owner)
    assert scored(task, {"pixels": answered(marks, task)}, "pixels")["value"] < 0.6
    everyone = Task("marks", "auroc", np.arange(240), label, np.arange(240))  # as if all were different people
    assert scored(everyone, {"pixels": answered(marks, everyone)}, "pixels")["value"] > 0.9


def test_r2() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert r2(truth, truth) == 1
    assert r2(truth, np.full(3, 2.0)) == 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty radiographs of each kind, laid out like the originals."""
    rng = np.random.default_rng(0)
    findings = "Atelectasis,Cardiomegaly,Consolidation,Edema,PleuralEffusion"
    for folder, header in (("cxr_ctr", "dataset,id,ctr_mask"), ("cxr_nih", f"set,image,patient,{findings}")):
        lines = [header]
        for i in range(40):
            group = ("jsrt", "wingspan")[i % 2] if folder == "cxr_ctr" else "nih64"
            name = f"{i:08d}_000"
            path = tmp_path / folder / group / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(path)
            known = f"{group},{name},{0.4 + 0.2 * rng.random():.3f}"
            lines.append(known if folder == "cxr_ctr" else f"{group},{name}.png,{i},{i % 2},{int(i < 3)},0,0,{i % 2}")
        (tmp_path / folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_from_pictures_to_the_table(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, tasks = read_tasks(data)
    assert all(path.is_file() for path in paths)
    names = [task.name for task in tasks]
    assert "Atelectasis, ChestX-ray14" in names, "twenty positive patients"
    assert "Cardiomegaly, ChestX-ray14" not in names, "three"
    monkeypatch.setattr(real_radiographs, "DEALS", 1)
    monkeypatch.setattr(real_radiographs, "DRAWS", 50)
    monkeypatch.setattr(real_radiographs, "read_tasks", lambda _: (paths, [tasks[0], tasks[-1]]))
    result = measure(data, "tiny", {}, None)
    assert {row["way"] for row in result["rows"]} == {"quantiles", "lung_field"}
    assert {row["features"] for row in result["rows"]} == {"pixels", "vision", "hidden", "volumetric"}
    assert "| CTR, jsrt |" in markdown(result)


def test_what_is_missing_is_named(tmp_path: Path, refused) -> None:
    assert "cannot be read" in refused(main, [tmp_path, "--out", tmp_path / "out"])
