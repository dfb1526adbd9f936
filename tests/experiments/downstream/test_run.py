"""`evaluate downstream` from the command line: the table, going on, and what is refused."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.experiments.supervised.backbones.published import hugging_face_dinov2
from xray2xray.commands import cli
from xray2xray.data.store import ViewStore
from xray2xray.experiments.ceiling import report as ceiling_report
from xray2xray.experiments.downstream import ceiling
from xray2xray.experiments.downstream.methods import cells
from xray2xray.experiments.downstream.rows import KEYS
from xray2xray.experiments.supervised import network
from xray2xray.experiments.supervised.backbones import build_backbone

TASKS = ["cardiomegaly", "cvd_prevalent", "cvd_time"]
METHODS = ["age_sex", "vision", "attentive:hidden@1", "vision+lateral", "age_sex+factors", "read_factors", "other"]


def run(*words: object) -> int:
    return cli.main(["evaluate", "downstream", *map(str, words)])


@pytest.fixture(scope="module")
def words(store: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A run's options: labels of 120 patients, two seeds, a low ceiling for cardiomegaly and high ones otherwise."""
    levels = {task: {"value": 0.9, "ci95": [0.8, 1.0]} for task in TASKS}
    low = {**levels, "cardiomegaly": {"value": 0.5, "ci95": [0.4, 0.6]}}
    path = tmp_path_factory.mktemp("ceiling") / "ceiling.json"
    path.write_text(json.dumps({"readers": {ceiling.FRONTAL: low, ceiling.FRONTAL_KNOWN: levels}}))
    settings = ["--labels", 120, "--seeds", 0, 1, "--source", model]
    named = ["--encoders", f"other={model}", "--ceiling", path, "--primary", "cvd_prevalent/vision/120"]
    return ["--views", store, "--methods", *METHODS, "--tasks", *TASKS, *settings, *named]


@pytest.fixture(scope="module")
def out(words: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    assert run(*words, "--out", folder) == 0
    return folder


def main_value(out: Path, task: str, method: str, n: int = 120) -> dict:
    rows = json.loads((out / "downstream.json").read_text())["rows"]
    found = [row for row in rows if (row["task"], row["method"], row["n_labels"]) == (task, method, n)]
    (row,) = [row for row in found if row["metric"] in ("auroc", "harrell_c")]
    return row


def test_what_is_planted_is_found_where_it_is(out: Path) -> None:
    assert main_value(out, "cardiomegaly", "vision")["value"] > 0.85
    assert main_value(out, "cardiomegaly", "volumetric")["value"] > 0.85
    frontal, both = (main_value(out, "cvd_prevalent", method)["value"] for method in ("vision", "vision+lateral"))
    assert both > frontal + 0.1, "a large heart shows frontally, the rest does not"
    assert main_value(out, "cvd_prevalent", "age_sex+factors")["value"] > 0.85
    assert main_value(out, "cvd_time", "age_sex+factors")["value"] > 0.6
    assert main_value(out, "cardiomegaly", "read_factors")["value"] > 0.85, "its severity is read from the frontal"
    assert main_value(out, "cardiomegaly", "age_sex")["value"] < 0.7


def test_rows_are_whole(out: Path) -> None:
    result = json.loads((out / "downstream.json").read_text())
    assert all(tuple(row) == KEYS for row in result["rows"])
    assert {row["method"] for row in result["rows"]} == {*METHODS, "volumetric"}
    assert [(r["task"], r["method"], r["n_labels"], r["metric"]) for r in result["rows"] if r["primary"]] == [
        ("cvd_prevalent", "vision", 120, "auroc")
    ]
    for row in result["rows"]:
        if row["method"] == "volumetric":
            assert row["delta_vs_ours"] is None
        elif row["metric"] in ("auroc", "harrell_c", "auprc", "brier"):
            ours = [r for r in result["rows"] if all(r[k] == row[k] for k in ("task", "n_labels", "metric"))]
            mine = next(r["value"] for r in ours if r["method"] == "volumetric")
            assert row["delta_vs_ours"] == pytest.approx(row["value"] - mine)
    assert main_value(out, "cardiomegaly", "other")["delta_vs_ours"] == 0, "the same world model, as an encoder"
    assert result["methods"]["vision+lateral"]["privileged"]
    assert not result["methods"]["vision"]["privileged"]
    assert {path.name for path in out.iterdir()} >= {"downstream.md", "label_efficiency.png", "differences.png"}


def test_who_is_above_the_ceiling_is_flagged(out: Path) -> None:
    result = json.loads((out / "downstream.json").read_text())
    flagged = {leak["method"] for leak in result["leaks"] if leak["n_labels"] == 120}
    assert {"vision", "volumetric"} <= flagged
    assert not flagged & {"vision+lateral", "age_sex+factors", "read_factors", "age_sex"}, (
        "they see more, or no picture at all"
    )
    assert {leak["task"] for leak in result["leaks"]} == {"cardiomegaly"}
    assert "**Leakage**: `vision`" in (out / "downstream.md").read_text()
    assert (ceiling.FRONTAL, ceiling.FRONTAL_KNOWN) == (ceiling_report.FRONTAL, ceiling_report.FRONTAL_KNOWN)


def test_what_is_done_is_not_done_again(out: Path, words: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    before = (out / "downstream.json").read_text()
    done = {path.name: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    assert len(done) == 2 * (len(METHODS) + 1)
    (out / "scores" / next(name for name in done if name.startswith("age_sex-120-1"))).unlink()
    assert run(*words, "--out", out) == 2, "a folder that is not empty"
    assert run(*words, "--out", out, "--resume") == 0
    assert (out / "downstream.json").read_text() == before
    again = {path.name: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    assert [name for name in done if again[name] != done[name]] == [n for n in done if n.startswith("age_sex-120-1")]

    capsys.readouterr()
    assert run(*words, "--out", out, "--resume", "--primary", "cvd_time/vision/120") == 2
    assert "named before a run" in capsys.readouterr().err


def test_a_network_without_its_plateau_is_listed_but_not_ranked(store: Path, tmp_path: Path) -> None:
    words = ["--views", store, "--tasks", "cardiomegaly", "--labels", 100, "--seeds", 0, "--ours", "age_sex"]
    words += ["--methods", "vit", "pixels", "--size", "tiny", "--budget", 0.1, "--primary", "cardiomegaly/vit/100"]
    assert run(*words, "--out", tmp_path / "out") == 0
    row = main_value(tmp_path / "out", "cardiomegaly", "vit", 100)
    assert 0 < row["value"] < 1
    assert row["delta_vs_ours"] is not None
    assert (row["p"], row["ranked"]) == (None, False)
    assert main_value(tmp_path / "out", "cardiomegaly", "pixels", 100)["ranked"]
    assert not any((tmp_path / "out" / "networks").iterdir()), "the checkpoint of a finished network goes"
    (training,) = json.loads((tmp_path / "out" / "downstream.json").read_text())["trainings"]
    assert (training["method"], training["n_labels"], training["seed"]) == ("vit", 100, 0)
    assert not training["converged"]
    assert 0 < training["best_step"] <= training["steps"]
    text = (tmp_path / "out" / "downstream.md").read_text()
    assert "`vit`: vit, from scratch | none |" in text
    assert "| 1 |" in text
    assert "`vit`, 100 labels: 0 of 1 trainings reached their plateau" in text
    assert "not read, a training did not converge" in text
    before = (tmp_path / "out" / "downstream.json").read_text()
    assert run(*words, "--out", tmp_path / "out", "--resume") == 0
    assert (tmp_path / "out" / "downstream.json").read_text() == before, "how a training ended is kept"


def test_a_network_at_its_plateau_is_ranked(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the frontal does not show is soon learned as far as it can be, however slow the machine."""
    monkeypatch.setattr(network, "PATIENCE", 3)
    words = ["--views", store, "--tasks", "cvd_prevalent", "--labels", 100, "--seeds", 0, "--ours", "age_sex"]
    assert run(*words, "--methods", "cnn64", "--size", "tiny", "--budget", 86_400, "--out", tmp_path / "out") == 0
    row = main_value(tmp_path / "out", "cvd_prevalent", "cnn64", 100)
    assert row["ranked"]
    assert row["p"] is not None
    (training,) = json.loads((tmp_path / "out" / "downstream.json").read_text())["trainings"]
    assert training["converged"]
    assert training["steps"] > training["best_step"]


def test_weights_are_checked_before_anything_is_trained(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--views", store, "--tasks", "cardiomegaly", "--labels", 100, "--seeds", 0, "--ours", "age_sex"]
    words += ["--methods", "cnn64", "--size", "tiny", "--budget", 0.1, "--out", tmp_path / "out"]
    tensors = build_backbone("cnn64", "tiny").state_dict()
    save_file(tensors, tmp_path / "whole.safetensors")
    first = next(iter(tensors))
    save_file({name: t for name, t in tensors.items() if name != first}, tmp_path / "broken.safetensors")
    assert run(*words, "--weights", f"cnn64={tmp_path / 'broken.safetensors'}") == 1
    assert f"1 missing: {first}" in capsys.readouterr().err
    assert not (tmp_path / "out" / "scores").exists()
    assert run(*words, "--overwrite", "--weights", "pixels=whole.safetensors") == 2
    assert "weights are for cnn64, resnet50" in capsys.readouterr().err
    assert run(*words, "--overwrite", "--weights", "cnn64") == 2
    assert "--weights wants METHOD=FILE" in capsys.readouterr().err
    assert run(*words, "--overwrite", "--weights", f"cnn64={tmp_path / 'whole.safetensors'}") == 0
    settings = json.loads((tmp_path / "out" / "downstream.json").read_text())["settings"]
    assert settings["weights"] == {"cnn64": str(tmp_path / "whole.safetensors")}


def test_encoders_are_read_by_heads_and_learn_on(store: Path, model: Path, encoder: Path, tmp_path: Path) -> None:
    methods = [
        "ssl",
        "grid:ssl",
        "glori:ssl",
        "finetuned:ssl",
        "finetuned:volumetric",
        "finetuned:vision",
        "finetuned:other",
    ]
    given = ["--encoders", f"ssl={encoder}", f"other={model}", "--source", model, "--budget", 2]
    words = ["--labels", 120, "--seeds", 0, "--tasks", "cardiomegaly", "--methods", *methods, *given]
    assert run("--views", store, *words, "--out", tmp_path / "out") == 0
    result = json.loads((tmp_path / "out" / "downstream.json").read_text())
    assert {row["method"] for row in result["rows"]} == {*methods, "volumetric"}
    assert all(about["frontal_only"] and not about["privileged"] for about in result["methods"].values())


def test_a_public_encoder_is_a_row_as_it_was_published(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rad-dino"
    folder.mkdir()
    shapes = hugging_face_dinov2(32, 2, 8, 32)
    torch.manual_seed(0)
    save_file({name: 0.1 * torch.randn(shape) for name, shape in shapes.items()}, folder / "model.safetensors")
    save_file({"last_layer": torch.zeros(2)}, folder / "dino_head.safetensors")  # RAD-DINO's folder has more files
    config = {"model_type": "dinov2", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config |= {"patch_size": 8, "image_size": 32, "mlp_ratio": 4, "layerscale_value": 1.0, "use_swiglu_ffn": False}
    (folder / "config.json").write_text(json.dumps(config))
    words = ["--views", store, "--labels", 120, "--seeds", 0, "--tasks", "cardiomegaly", "--ours", "age_sex"]
    words += ["--methods", "rad", "grid:rad", "--encoders", f"rad={folder}"]
    assert run(*words, "--out", tmp_path / "out") == 0
    assert main_value(tmp_path / "out", "cardiomegaly", "grid:rad")["value"] > 0.8, "a brighter square is in its cell"
    features = {path.name for path in (tmp_path / "out" / "features").iterdir() if path.name.startswith("rad")}
    (folder / "model.safetensors").unlink()
    save_file({name: 0.1 * torch.randn(shape) for name, shape in shapes.items()}, folder / "pytorch_model.safetensors")
    (folder / "dino_head.safetensors").unlink()
    assert run(*words, "--out", tmp_path / "out", "--resume") == 0
    again = {path.name for path in (tmp_path / "out" / "features").iterdir() if path.name.startswith("rad")}
    assert len(again) == 2 * len(features), "other weights, other features"


def test_cells_are_means_of_the_tokens_that_lie_there() -> None:
    tokens = np.arange(64.0).reshape(1, 64, 1)
    found = cells(tokens)
    assert found.shape == (1, 16)
    assert found[0, 0] == np.mean([0, 1, 8, 9])
    assert found[0, 15] == np.mean([54, 55, 62, 63])
    assert cells(tokens[:, :9]).shape == (1, 9)


def test_networks_may_have_fewer_seeds(store: Path, tmp_path: Path) -> None:
    words = ["--labels", 100, "--seeds", 0, 1, "--network-seeds", 0, "--methods", "vit", "--ours", "age_sex"]
    words += ["--size", "tiny", "--budget", 0.1, "--primary", "cardiomegaly/vit/100", "--primary-seeds", 2]
    assert run("--views", store, "--tasks", "cardiomegaly", *words, "--out", tmp_path / "out") == 0
    done = sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / "out" / "scores").iterdir())
    assert done == ["age_sex-100-0", "age_sex-100-1", "age_sex-100-2", "vit-100-0", "vit-100-2"]


BAD_OPTIONS = {
    "more labels than patients": (["--labels", 500], 1, "130 training patients and --labels asks for 500"),
    "too few of a class": (["--labels", 8, "--methods", "age_sex"], 1, "too few labels: "),
    "no such method": (["--methods", "resnet"], 2, "there are no features 'resnet'"),
    "no such depth": (["--methods", "vision@1"], 2, "there are no features 'vision@1'"),
    "no such encoder": (["--methods", "glori:mae"], 2, "this head reads one of --encoders"),
    "not fine-tuned": (["--methods", "finetuned:pixels"], 2, "volumetric, vision, or one of --encoders"),
    "no tokens": (["--methods", "attentive:pixels"], 2, "reads the tokens"),
    "nor of a regression": (["--methods", "attentive:read_factors"], 2, "reads the tokens"),
    "no such task": (["--tasks", "fracture"], 1, "no label fracture"),
    "a contrast that is not run": (["--primary", "cvd_time/vision/100"], 2, "say TASK/METHOD/LABELS"),
    "no ceiling": (["--ceiling", "nowhere.json"], 1, "nowhere.json: no usable ceiling"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options(case: str, store: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options, code, said = BAD_OPTIONS[case]
    settings = ["--labels", 60, "--seeds", 0, "--methods", "age_sex", "--source", model, "--ours", "age_sex"]
    assert run("--views", store, "--out", tmp_path / "out", *settings, *options) == code
    assert said in capsys.readouterr().err


def table(path: Path, **columns: dict[str, object]) -> Path:
    """A CSV of columns by study."""
    studies = sorted(set().union(*columns.values()))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["study", *columns])
        writer.writerows([study, *(column.get(study, "") for column in columns.values())] for study in studies)
    return path


def test_bad_labels(store: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studies = ViewStore.open(store).studies()

    def said(views: Path = store, **columns: dict[str, object]) -> str:
        words = ["--views", views, "--out", tmp_path / "out", "--overwrite", "--labels", 60, "--source", model]
        more = ["--table", table(tmp_path / "table.csv", **columns)] if columns else []
        assert run(*words, *more) == 1
        return capsys.readouterr().err

    leaked = dict.fromkeys((studies[0], studies[-1]), "patient-7")
    assert "both come from patient patient-7" in said(patient=leaked)
    assert "split 'exam'" in said(split={studies[0]: "exam"})
    one_class = table(tmp_path / "one.csv", edema=dict.fromkeys(studies[-80:], 0))
    words = ["--views", store, "--table", one_class, "--tasks", "edema", "--out", tmp_path / "one", "--source", model]
    assert run(*words) == 1
    line = capsys.readouterr().err
    assert "one.csv: edema knows one class only among the test patients (80 without, 0 with)" in line
    assert "table.csv: column edema holds what is no number" in said(edema={studies[0]: "yes"})
    assert "1 studies are not in" in said(edema={"nobody": 1})

    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    made = ViewStore.open(copy)
    stored = made.read(studies[3])
    made.write(studies[3], ViewStore.open(store).read(studies[-1]).views_p, stored.yaw_deg, stored.labels)
    assert "have the same view at 0 degrees" in said(copy)
    for study in studies:
        made.write(study, np.ones((1, 32, 32)), [0.0], {"seed": int(study[-7:])})
    assert "copy: no label atelectasis (there are: seed)" in said(copy)
