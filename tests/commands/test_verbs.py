"""Every verb that reads, renders or predicts, run for real through the command line, on good input and on bad."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from PIL import Image

import xray2xray
from xray2xray.commands import cli
from xray2xray.data.store import ViewStore
from xray2xray.phantoms import sample_patient
from xray2xray.projection import preset
from xray2xray.volume import read_dicom_series, read_nifti, remove_couch, write_nifti

SIZE = 32


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def one_error_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("xray2xray: error: ")
    return lines[0]


# ---------------------------------------------------------------- verbs that need no weights


def test_phantom(cohort: Path) -> None:
    with (cohort / "cohort.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["study"] for row in rows] == ["thorax-0000040", "thorax-0000041"]
    assert {"seed", "volume", "cvd_prevalent", "edema"} <= set(rows[0])
    volume = nib.load(cohort / rows[0]["volume"])
    tissue = nib.load(cohort / "thorax-0000040_tissue.nii.gz")
    assert volume.shape == tissue.shape == (64, 64, 64)
    assert nib.aff2axcodes(volume.affine) == ("R", "A", "S")
    with (cohort / "tissues.csv").open() as file:
        names = {int(row["value"]) for row in csv.DictReader(file)}
    assert set(np.unique(np.asarray(tissue.dataobj).astype(int))) <= names
    with (cohort / "findings.csv").open() as file:
        bits = {row["name"]: int(row["value"]) for row in csv.DictReader(file)}
    for row in rows:
        findings = np.asarray(nib.load(cohort / f"{row['study']}_findings.nii.gz").dataobj).astype(int)
        for name, bit in bits.items():
            assert int(row[name]) or not (findings & bit).any()


def test_a_run_can_be_repeated_from_its_config(cohort: Path, tmp_path: Path) -> None:
    assert run("phantom", "--config", cohort / "config.yaml", "--out", tmp_path / "again", "--count", "1") == 0
    one, two = (np.asarray(nib.load(f / "thorax-0000040.nii.gz").dataobj) for f in (cohort, tmp_path / "again"))
    assert np.array_equal(one, two)
    assert (tmp_path / "again" / "thorax-0000040_tissue.nii.gz").exists(), "--truth came from the config"


def test_render_goes_on_where_it_stopped(cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_text("hello")
    settings = ["--out", tmp_path / "store", "--size", "32", "--workers", "1"]
    assert run("render", cohort / "thorax-0000040.nii.gz", bad, *settings) == 0, "one bad scan does not stop the rest"
    assert f"left out {bad}: not a NIfTI" in capsys.readouterr().err
    with (tmp_path / "store" / "failed.csv").open() as file:
        assert [row["study"] for row in csv.DictReader(file)] == ["bad"]
    written = (tmp_path / "store" / "thorax-0000040.npz").stat().st_mtime_ns

    assert run("render", cohort / "thorax-0000040.nii.gz", "--procedural", "1", "--seed", "41", *settings) == 0
    store = ViewStore.open(tmp_path / "store")
    assert store.studies() == ["thorax-0000040", "thorax-0000041"]
    assert (tmp_path / "store" / "thorax-0000040.npz").stat().st_mtime_ns == written
    assert not (tmp_path / "store" / "failed.csv").exists()
    assert store.read("thorax-0000041").labels["seed"] == 41
    assert len(store.read("thorax-0000041").yaw_deg) == 37

    capsys.readouterr()
    settings[settings.index("32")] = "48"
    assert run("render", cohort / "thorax-0000040.nii.gz", *settings) == 2, "another geometry is another store"
    one_error_line(capsys)


def test_render_uses_processes(cohort: Path, tmp_path: Path) -> None:
    scans = [cohort / f"thorax-000004{i}.nii.gz" for i in (0, 1)]
    made = xray2xray.render(scans, out=tmp_path / "store", size=32, yaw_deg=[0, 90], workers=2)
    assert (made.studies, made.failed) == (2, {})
    assert ViewStore.open(tmp_path / "store").read("thorax-0000041").yaw_deg.tolist() == [0, 90]


def test_render_without_the_couch(tmp_path: Path) -> None:
    seed = 0
    assert sample_patient(seed).scan.couch
    laterals = {}
    for flags in ([], ["--remove-couch"]):
        out = tmp_path / f"store{len(flags)}"
        assert run("render", "--procedural", "1", "--seed", str(seed), "--out", out, "--size", "48", *flags) == 0
        study = ViewStore.open(out).read(f"thorax-{seed:07d}")
        assert study.labels.get("remove_couch", False) is bool(flags)
        laterals[len(flags)] = study.views_p[-1]
    less = laterals[0] - laterals[1]
    assert less.max() > 0.3
    assert less[:, 24:].sum() > 0.9 * np.abs(less).sum()  # behind the back: anterior is on the left


def test_only_bad_scans_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.nii", "b.nii"):
        (tmp_path / name).write_text("hello")
    assert run("render", tmp_path / "a.nii", tmp_path / "b.nii", "--out", tmp_path / "s", "--workers", "1") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "xray2xray: error: none of the 2 scans could be used"


# ---------------------------------------------------------------- verbs that need a model


def test_a_couch_is_taken_away_if_asked(
    model: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ct = cohort / "thorax-0000040.nii.gz"
    as_it_is, bare = (xray2xray.open_input(ct, preset("chest", SIZE), remove_couch=wanted) for wanted in (False, True))
    assert as_it_is.volume is not None
    assert bare.volume is not None
    assert np.array_equal(as_it_is.volume.hu, xray2xray.read_volume(ct).hu)
    assert np.array_equal(bare.volume.hu, remove_couch(xray2xray.read_volume(ct)).hu)
    words = ["--out", tmp_path / "out", "--source", model, "--yaw-deg", "90", "--remove-couch"]
    assert run("rotate", ct, *words) == 0
    assert "couch, cushions and sheets were replaced by air" in capsys.readouterr().out


def test_rotate_a_ct_and_a_radiograph(
    model: Path, cohort: Path, radiograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "notes.png"
    bad.write_text("hello")
    words = ["--out", tmp_path / "out", "--source", model, "--yaw-deg", "-90", "42.5"]
    ct = cohort / "thorax-0000040.nii.gz"
    assert run("rotate", ct, bad, radiograph, *words) == 0, "one bad input does not stop the rest"
    said = capsys.readouterr()
    assert f"left out {bad}: not an image" in said.err
    assert "uncalibrated" in said.out

    expected = {"report.html", "report.json", "views.npz", "views.png", "views.gif", "yaw-90.png", "yaw+42.5.png"}
    for name, truth in (("thorax-0000040", True), ("chest", False)):
        folder = tmp_path / "out" / name
        assert {path.name for path in folder.iterdir()} == expected
        report = json.loads((folder / "report.json").read_text())
        assert (report["views"] is not None) == truth
        assert report["settings"]["model"] == str(model)
        with np.load(folder / "views.npz", allow_pickle=False) as views:
            assert views["yaw_deg"].tolist() == [-90, 42.5]
            assert views["predicted_p"].shape == (2, SIZE, SIZE)
            assert ("truth_p" in views) == truth
    assert report["evidence_level"] == "real radiograph"
    assert any("uncalibrated" in note for note in report["notes"])
    assert "words" in report["out_of_distribution"]


def test_the_truth_of_a_ct_is_its_own_projection(model: Path, cohort: Path, tmp_path: Path) -> None:
    from xray2xray.projection import preset, render

    ct = cohort / "thorax-0000041.nii.gz"
    assert run("rotate", ct, "--out", tmp_path / "o", "--source", model, "--form", "autoregressive") == 0
    with np.load(tmp_path / "o" / "views.npz") as views:
        assert views["yaw_deg"].tolist() == list(xray2xray.STANDARD_ARC)
        truth = render(xray2xray.read_volume(ct), preset("chest", SIZE), views["yaw_deg"])
        assert np.allclose(views["truth_p"], truth, atol=1e-5)
        assert np.allclose(views["input_p"], views["truth_p"][18], atol=1e-5)


def test_the_volume_lies_where_the_ct_lies(model: Path, cohort: Path, tmp_path: Path) -> None:
    from xray2xray.projection import preset

    scan = nib.load(cohort / "thorax-0000040.nii.gz")
    moved = scan.affine.copy()
    moved[:3, 3] += (100, -200, 300)
    path = tmp_path / "moved.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(scan.dataobj), moved), path)
    xray2xray.reconstruct(path, tmp_path / "out", size=32, source=model, dicom=True)
    report = json.loads((tmp_path / "out" / "report.json").read_text())

    volume = nib.load(tmp_path / "out" / "volume.nii.gz")
    assert volume.shape == (32, 32, 32)
    series = read_dicom_series(tmp_path / "out" / "volume-dicom")
    assert np.array_equal(series.hu, volume.get_fdata())
    assert np.allclose(series.affine, volume.affine, atol=1e-3)
    centre = volume.affine[:3, :3] @ np.full(3, 15.5) + volume.affine[:3, 3]
    assert np.allclose(centre, xray2xray.open_input(path, preset("chest", SIZE)).isocentre_mm, atol=1e-3)
    assert np.linalg.norm(centre - (100, -200, 300)) < 60, "the middle of the body is near the middle of the scan"
    reached, reachable = (report["volume"][key]["psnr"] for key in ("scores", "scores_from_true_views"))
    assert reachable > max(reached, 15), "a model that has learned nothing is worse than the truth"


def test_reconstruct_a_radiograph(model: Path, radiograph: Path, tmp_path: Path) -> None:
    words = ["--out", tmp_path / "out", "--source", model, "--size", "24", "--view", "ap"]
    assert run("reconstruct", radiograph, *words) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "scores" not in report["volume"]
    assert any(note.startswith("AP,") for note in report["notes"])
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["view"] == "ap"
    assert nib.load(tmp_path / "out" / "volume.nii.gz").shape == (24, 24, 24)


def test_evaluate_volume(model: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--source", model, "--train", model / "store", "--size", "24", "--save", "--labels", cohort]
    ct = cohort / "thorax-0000040.nii.gz"
    assert run("evaluate", "volume", ct, "--out", tmp_path / "out", *words, "--models", "direct", "autoregressive") == 0
    assert "| **direct** |" in capsys.readouterr().out
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"config.yaml", "volume.json", "volume.md", "case-thorax-0000040.png", "volumes"}
    found = json.loads((tmp_path / "out" / "volume.json").read_text())
    assert found["forms"] == ["direct", "autoregressive"]
    assert "bias_hu_label 6" in found["cases"][0]["rows"]["direct"], "the heart of thorax-0000040_tissue.nii.gz"
    predicted = nib.load(tmp_path / "out" / "volumes" / "thorax-0000040-direct.nii.gz")
    assert predicted.shape == (24, 24, 24)


def test_demo(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("store"))
    _add_probes(folder)
    assert run("demo", "--out", out, "--source", folder) == 0
    assert "report.html" in capsys.readouterr().out
    made = {path.name for path in out.iterdir()}
    assert made >= {"report.html", "report.json", "views.gif", "volume.nii.gz", "config.yaml"}
    report = json.loads((out / "report.json").read_text())
    assert report["settings"]["seed"] == 1_000_000, "a patient that was in no training set"
    assert set(report["views"]["baselines"]) == {"mean_view", "copy_input", "best"}
    assert "http" not in (out / "report.html").read_text().replace("http-equiv", ""), "the page opens offline"
    assert report["probes"]["n_test"] == 20
    assert {row["label"] for row in report["findings"]} == {"edema", "cvd_prevalent"}
    assert all(0 <= row["probability"] <= 1 and row["planted"] in (True, False) for row in report["findings"])
    assert run("demo", "--out", out, "--source", folder) == 2, "the second one is refused"


def _add_probes(folder: Path) -> None:
    """Probes of noise, as `evaluate probes` would write those of features."""
    from xray2xray.evaluation.probes import summarise_probes
    from xray2xray.evaluation.results import as_json
    from xray2xray.probing.probe import compare_probes, save_probes

    random = np.random.default_rng(0)
    model = xray2xray.WorldModel.from_pretrained(folder)
    width = model.features(np.zeros((1, SIZE, SIZE), np.float32)).shape[1]
    train, test = random.normal(size=(40, width)), random.normal(size=(20, width))
    labels = [{name: random.integers(0, 2, n) for name in ("edema", "cvd_prevalent")} for n in (40, 20)]
    comparison = compare_probes({"volumetric": (train, test)}, *labels, draws=50)
    save_probes(folder / "probes.npz", [found["volumetric"].probe for found in comparison.results.values()])
    (folder / "probes.json").write_text(
        json.dumps(as_json(summarise_probes(comparison, *labels, {"form": model.config.form})))
    )


def test_embed(model: Path, cohort: Path, radiograph: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"study,image,age\npatient-1,{radiograph},50\npatient-2,missing.png,60\n")
    inputs = [cohort / "thorax-0000041.nii.gz", model / "store", table]
    assert run("embed", *inputs, "--out", tmp_path / "f.npz", "--source", model) == 0
    with np.load(tmp_path / "f.npz", allow_pickle=False) as made:
        studies, features = made["study"].tolist(), made["features"]
    assert studies == ["thorax-0000041", "thorax-0000000", "thorax-0000001", "thorax-0000002", "patient-1"]
    assert features.dtype == np.float32
    assert np.isfinite(features).all()

    both = ["--kind", "hidden", "--form", "autoregressive", "--depth", "1"]
    assert run("embed", radiograph, "--out", tmp_path / "h.npz", "--source", model, *both) == 0
    with np.load(tmp_path / "h.npz", allow_pickle=False) as made:
        assert made["features"].shape == (1, 2 * 4 * 32), "quarters of the hidden states, turning either way"
        assert json.loads(str(made["settings"]))["depth"] == 1
    assert run("embed", radiograph, "--out", tmp_path / "n.npz", "--source", model, "--depth", "9") == 2

    assert run("embed", radiograph, "--out", tmp_path / "f.csv", "--source", model, "--kind", "vision") == 0
    with (tmp_path / "f.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:2] == ["study", "vision_0"]
    assert rows[1][0] == "chest"
    assert len(rows[0]) == len(rows[1]) == 1 + 16 * 8, "the study, then eight numbers for each of sixteen latents"
    assert (tmp_path / "f.csv.config.yaml").exists()


def test_embed_refuses_a_table_without_images(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("name,age\na,1\n")
    assert run("embed", tmp_path / "t.csv", "--out", tmp_path / "f.npz", "--source", model) == 1
    assert "no column image, path, volume" in one_error_line(capsys)


def test_evaluate_views(model: Path, cohort: Path, tmp_path: Path) -> None:
    train = xray2xray.render(out=tmp_path / "train", procedural=10, size=SIZE, workers=1).out
    words = ["--out", tmp_path / "out", "--source", model, "--train", train]
    assert run("evaluate", "views", cohort / "thorax-0000040.nii.gz", "--procedural", "1", *words) == 0
    result = json.loads((tmp_path / "out" / "views.json").read_text())
    assert result["n"] == 2
    assert {"direct", "autoregressive", "v_ceiling"} <= set(result["models"])
    assert {"copy_input", "mean_view", "knn10", "ridge_pca", "kernel_ridge", "best"} == set(result["baselines"])


def test_evaluate_controls(model: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = xray2xray.render(out=tmp_path / "train", procedural=10, size=SIZE, workers=1).out
    bad = tmp_path / "bad.nii.gz"
    bad.write_text("hello")
    out, words = tmp_path / "out", ["--source", model, "--train", train, "--candidates", "3", "--procedural", "2"]
    scan = tmp_path / "scan.nii.gz"
    write_nifti(scan, read_nifti(cohort / "thorax-0000040.nii.gz"))  # a file that does not say who made it
    inputs = [scan, cohort / "thorax-0000041.nii.gz", bad]
    assert run("evaluate", "controls", *inputs, "--out", out, *words, "--models", "direct", "autoregressive") == 0
    assert "left out bad" in capsys.readouterr().err
    result = json.loads((out / "controls.json").read_text())
    assert {evidence_level: group["n"] for evidence_level, group in result["groups"].items()} == {
        "virtual patient": 3,
        "rendered from real CT": 1,
    }
    assert all(set(group["models"]) == {"direct", "autoregressive"} for group in result["groups"].values())
    assert set(result["retrieval"]["pixels"]) == {"copy_input", "direct", "autoregressive", "ridge_pca"}
    assert result["retrieval"]["candidates"] == 3
    assert {path.name for path in out.iterdir()} == {
        "config.yaml",
        "controls.json",
        "controls.md",
        "controls.png",
        "alignment.png",
        "failed.csv",
    }
    assert run("evaluate", "controls", "--out", tmp_path / "no", "--source", model) == 2, "nothing to evaluate"
    assert run("evaluate", "controls", "--procedural", "1", "--candidates", "1", "--out", tmp_path / "no") == 2


def test_evaluate_uncertainty(model: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from xray2xray.models.transitions.sampler import DirectSampler, SamplerConfig
    from xray2xray.models.world_model import WorldModel

    out = tmp_path / "out"
    words = ["--procedural", "1", "--calibration", "2", "--samples", "39", "--counterfactual-pairs", "1"]
    assert run("evaluate", "uncertainty", "--out", out, "--source", model, *words) == 2
    assert "--stage sampler" in one_error_line(capsys)
    whole = WorldModel.from_pretrained(model)
    config = SamplerConfig(whole.config.vision.tokens, 8, hidden=32, dim=16, heads=2, blocks=1, noise=4, outputs=8)
    whole.sampler = DirectSampler(config)
    whole.save_pretrained(tmp_path / "sampled")
    scan = tmp_path / "scan.nii.gz"
    write_nifti(scan, read_nifti(cohort / "thorax-0000040.nii.gz"))  # a file that does not say who made it
    words += ["--source", tmp_path / "sampled", scan]
    assert run("evaluate", "uncertainty", "--out", out, *words) == 0
    result = json.loads((out / "uncertainty.json").read_text())
    assert {evidence_level: group["n"] for evidence_level, group in result["groups"].items()} == {
        "virtual patient": 1,
        "rendered from real CT": 1,
    }
    assert set(result["groups"]["virtual patient"]["pixels"]) == {"sampler", "gaussian"}
    assert {kind: one["n"] for kind, one in result["counterfactual_pairs"].items()} == {"hidden": 1, "visible": 1}
    assert {"config.yaml", "uncertainty.md", "calibration.png", "endpoints.png", "counterfactual-pairs.png"} <= {
        path.name for path in out.iterdir()
    }


def test_evaluate_probes_wants_enough_patients(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--n-train", "5", "--out", tmp_path / "out", "--source", model]
    assert run("evaluate", "probes", *words) == 2
    assert "at least 20 training" in one_error_line(capsys)
    assert not (tmp_path / "out").exists()


def test_baselines_of_real_scans_keep_mean_views_only(cohort: Path, tmp_path: Path) -> None:
    from xray2xray.evaluation.baselines import Baselines

    xray2xray.render(cohort / "thorax-0000040.nii.gz", out=tmp_path / "store", size=SIZE, workers=1)
    assert run("evaluate", "baselines", "--views", tmp_path / "store", "--out", tmp_path / "b.npz") == 0
    made = Baselines.load(tmp_path / "b.npz")
    assert made.mean_views.shape == (37, SIZE, SIZE)
    assert len(made.seeds) == len(made.small_frontals) == 0
    assert made.cohort == "1 studies of 1 patients in store (rendered from real CT)"
    assert set(made.predictors(18)) == {"copy_input", "mean_view"}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "direct.safetensors").write_bytes(b"short"), "sha256"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "vision.safetensors").unlink(), "missing"),
    ],
    ids=["wrong sha256", "broken config", "missing file"],
)
def test_damaged_weights(
    spoil: Callable[[Path], None],
    said: str,
    model: Path,
    radiograph: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("store"))
    spoil(folder)
    assert run("rotate", radiograph, "--out", tmp_path / "out", "--source", folder) == 1
    assert said in one_error_line(capsys)
    assert run("rotate", radiograph, "--out", tmp_path / "out", "--source", tmp_path / "nothing") == 1
    assert "neither a packaged model nor a folder" in one_error_line(capsys)


# ---------------------------------------------------------------- bad input: 1, one line, nothing left behind


def _tiny_nifti(path: Path, affine: np.ndarray, voxels: int = 16) -> None:
    nib.save(nib.Nifti1Image(np.full((voxels,) * 3, -1000, np.int16), affine), path)


def _singular(path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_sform(np.diag([13.0, 13.0, 0.0, 1.0]), code=1)
    nib.save(nib.Nifti1Image(np.zeros((16, 16, 16), np.int16), None, header), path)


def _colourful(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)).save(path)


BAD_INPUTS = {
    "nothing there": ("missing.png", None, "no such file"),
    "no image": ("notes.png", lambda path: path.write_text("hello"), "not an image"),
    "real colour": ("photo.png", _colourful, "real colour"),
    "one grey": ("blank.png", lambda path: Image.new("L", (80, 80), 7).save(path), "constant"),
    "empty folder": ("scan", lambda path: path.mkdir(), ""),
    "no nifti": ("scan.nii.gz", lambda path: path.write_text("hello"), "not a NIfTI file"),
    "singular affine": ("scan.nii", _singular, "singular"),
    "too small": ("scan.nii", lambda path: _tiny_nifti(path, np.diag([2.0, 2, 2, 1])), "mm, a chest needs at least"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
@pytest.mark.parametrize("verb", ["rotate", "reconstruct"])
def test_bad_input(verb: str, case: str, model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name, make, said = BAD_INPUTS[case]
    if make is not None:
        make(tmp_path / name)
    assert run(verb, tmp_path / name, "--out", tmp_path / "out", "--source", model) == 1
    line = one_error_line(capsys)
    assert str(tmp_path / name) in line, "the message names the file"
    assert said in line.replace(str(tmp_path), "")
    assert not (tmp_path / "out").exists(), "the corrected command is not refused"
