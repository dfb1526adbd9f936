"""From a cohort as delivered to the table, by shell commands alone; the numbers are those of a direct computation.

Trees with several scans of a participant, scans that nobody followed up, missing labels, laterals and AP views.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests import fake_cohorts
from xray2xray.commands import cli
from xray2xray.data.store import ViewStore
from xray2xray.models.world_model import WorldModel
from xray2xray.probing.probe import fit
from xray2xray.statistics.concordance import harrell_c
from xray2xray.statistics.intervals import SHARE, Resamples

RECIPE = """
preset: tiny
held_out: 3
vision: {size: 32, widths: [8, 16], blocks: [1, 1], head_width: 8, latent_dim: 8, codebook_size: 32}
vision_loop: {steps: 6, batch: 8, warm_up: 2, log_every: 3, check_every: 6}
direct:
  {tokens: 16, latent_dim: 8, dim: 32, heads: 4, trunk: 1, head: 1, condition_dim: 16,
   prior_inputs: 4, prior_outputs: 8}
direct_loop: {steps: 6, batch: 4, warm_up: 2, log_every: 3, check_every: 6}
sampler: {tokens: 16, latent_dim: 8, hidden: 32, dim: 16, heads: 2, blocks: 1, condition_dim: 16, noise: 4, outputs: 8}
autoregressive: {tokens: 16, codebook_size: 32, dim: 32, heads: 4, layers: 1}
volumetric: {size: 32, depth: 64, widths: [8, 16, 16, 16], heads: 2}
"""  # fmt: skip
CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("road")


@pytest.fixture(scope="module")
def nlst(home: Path) -> Path:
    """The table of yearly scans, and the store rendered from it."""
    fake_cohorts.nlst(home / "NLST", {"train": 12, "validation": 4, "test": 8})
    words = ["--kind", "nlst", "--labels", "cvd", "--split", "patient", "--workers", 1]
    assert run("cohort", home / "NLST", *words, "--out", home / "nlst.csv") == 0
    assert run("render", home / "nlst.csv", "--out", home / "nlst-views", "--size", 32, "--workers", 1) == 0
    return home / "nlst-views"


@pytest.fixture(scope="module")
def model(home: Path, nlst: Path) -> Path:
    """A world model of the training participants."""
    (home / "small.yaml").write_text(RECIPE)
    for stage in ("vision", "direct"):
        words = ["--recipe", home / "small.yaml", "--stage", stage, "--device", "cpu"]
        assert run("train", "--views", nlst, "--out", home / "run", *words) == 0
    return home / "run" / "model"


@pytest.fixture(scope="module")
def table(home: Path, nlst: Path, model: Path) -> dict:
    words = ["--source", model, "--device", "cpu"]
    assert run("embed", nlst, "--out", home / "nlst.npz", *words) == 0
    words += ["--encoders", f"embedded={home / 'nlst.npz'}", "--seeds", 0, "--size", "tiny", "--budget", 1]
    words += ["--config", CONFIGS / "nlst-cvd.yaml", "--methods", "age_sex", "vision", "embedded", "resnet50"]
    words += ["vision+lateral", "age_sex+factors", "--primary", "cvd/age_sex/all"]
    assert run("evaluate", "downstream", "--views", nlst, "--out", home / "nlst-table", *words) == 0
    return json.loads((home / "nlst-table" / "downstream.json").read_text())


def value(result: dict, task: str, method: str, metric: str, key: str = "value") -> float:
    (found,) = [r[key] for r in result["rows"] if (r["task"], r["method"], r["metric"]) == (task, method, metric)]
    return found


def test_a_store_keeps_what_its_table_says(home: Path, nlst: Path) -> None:
    store, listed = ViewStore.open(nlst), {row["study"]: row for row in rows_of(home / "nlst.csv")}
    assert store.studies() == sorted(listed)
    assert len({row["patient"] for row in listed.values()}) == 24 < len(listed)
    for study, row in listed.items():
        labels = store.read_labels(study)
        assert {name: labels[name] for name in ("patient", "split", "sex")} == {
            name: row[name] for name in ("patient", "split", "sex")
        }
        for name in ("age", "cvd", "event", "time_years"):
            assert labels[name] == (pytest.approx(float(row[name])) if row[name] else None)
        assert labels["evidence_level"] == "rendered from real CT"
        assert labels["remove_couch"]
    assert any(row["event"] == "" for row in listed.values()), "a participant was not followed up"
    assert store.read(store.studies()[0]).views_p.shape == (37, 32, 32)


def test_the_numbers_of_the_table_are_those_of_a_direct_computation(
    home: Path, nlst: Path, model: Path, table: dict
) -> None:
    store, network = ViewStore.open(nlst), WorldModel.from_pretrained(model)
    names = store.studies()
    labels = [store.read_labels(study) for study in names]
    split, patients = (np.array([one[key] for one in labels]) for key in ("split", "patient"))
    x = network.features(np.stack([store.read_at(study, 0.0) for study in names]))
    with np.load(home / "nlst.npz") as embedded:
        assert embedded["study"].tolist() == names
        np.testing.assert_allclose(embedded["features"], x, atol=1e-4)
    y = np.array([np.nan if one["cvd"] is None else one["cvd"] for one in labels])
    known = ~np.isnan(y)
    train, validation, test = ((split == part) & known for part in ("train", "validation", "test"))
    rows = np.concatenate([np.flatnonzero(train), np.flatnonzero(validation)])
    held = np.arange(len(rows)) >= train.sum()
    probe = fit(x[rows], y[rows].astype(int), label="cvd", features="x", held=held)
    scores = probe.probability(x[test])
    for method in ("volumetric", "embedded"):
        assert value(table, "cvd", method, "auroc") == pytest.approx(roc_auc_score(y[test], scores))
    _, owner = np.unique(patients[test], return_inverse=True)
    some = Resamples.of(owner.max() + 1)
    drawn = [
        roc_auc_score(y[test], scores, sample_weight=c) if _both(y[test], c) else np.nan for c in some.counts[:, owner]
    ]
    bounds = [value(table, "cvd", "volumetric", "auroc", end) for end in ("ci_low", "ci_high")]
    assert bounds == pytest.approx(some.interval(drawn, SHARE)), "whole participants are drawn"
    with np.load(next((home / "nlst-table" / "scores").glob("volumetric-*.npz"))) as kept:
        risk = kept["cvd_time"]
    followed = [i for i, one in enumerate(labels) if one["split"] == "test"]
    time, event = ([labels[i][key] for i in followed] for key in ("time_years", "event"))
    known_time = np.array([value is not None for value in time])
    expected = harrell_c(*(np.array([v for v in c if v is not None]) for c in (time, event)), risk[known_time])
    assert value(table, "cvd_time", "volumetric", "harrell_c") == pytest.approx(expected)


def _both(y: np.ndarray, counts: np.ndarray) -> bool:
    return all(counts[y == value].sum() > 0 for value in (0, 1))


def test_what_cannot_run_is_listed_and_the_rest_runs(table: dict) -> None:
    assert "no seed" in table["left_out"]["age_sex+factors"]
    assert {row["method"] for row in table["rows"]} >= {"age_sex", "vision", "vision+lateral", "resnet50"}
    assert table["evidence_level"] == "rendered from real CT"
    assert table["n_test"] > table["test_patients"] == 8
    assert table["compared_by"] == "whole patients resampled"
    assert table["settings"]["labels"] == [12]
    assert not any("among those" in note for note in table["notes"]), "no test participant was learned from"


def test_radiographs_by_the_same_road(home: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_cohorts.chexpert(home / "CheXpert", {"train": 18, "validation": 8, "test": 12})
    labels = ["atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion"]
    words = ["--kind", "chexpert", "--labels", *labels, "--out", home / "chexpert.csv", "--workers", 1]
    assert run("cohort", home / "CheXpert", *words) == 0
    assert any("a lateral view" in row["problem"] for row in rows_of(home / "chexpert.failed.csv"))
    views = ["--source", model, "--out", home / "chexpert-views"]
    assert run("render", home / "chexpert.csv", *views, "--size", 32, "--workers", 1) == 0
    store = ViewStore.open(home / "chexpert-views")
    kept = [store.read_labels(study) for study in store.studies()]
    assert {one["evidence_level"] for one in kept} == {"real radiograph"}
    assert {one["view"] for one in kept} == {"AP", "PA"}
    assert {one["preparation"] for one in kept} == {
        "quantiles of the frontals of " + json.loads((model / "input_statistics.json").read_text())["cohort"]
    }
    assert any(one["edema"] is None for one in kept)
    assert store.read(store.studies()[0]).views_p.shape == (1, 32, 32)
    assert run("render", home / "chexpert.csv", *views, "--size", 32, "--preparation", "lung_field") == 2
    assert "was prepared by quantiles" in capsys.readouterr().err

    assert run("train", "--views", store.folder, "--out", home / "no", "--recipe", home / "small.yaml") == 1
    assert "radiographs, which have one view each" in capsys.readouterr().err
    words = ["--source", model, "--config", CONFIGS / "chexpert.yaml", "--seeds", 0, "--size", "tiny", "--budget", 1]
    words += ["--device", "cpu", "--out", home / "chexpert-table", "--views", store.folder]
    words += ["--methods", "age_sex", "vision", "resnet50", "vision+lateral", "measured"]
    assert run("evaluate", "downstream", *words) == 0
    result = json.loads((home / "chexpert-table" / "downstream.json").read_text())
    assert result["evidence_level"] == "real radiograph"
    assert result["settings"]["tasks"] == labels
    assert set(result["left_out"]) == {"measured", "vision+lateral"}
    assert "no lateral" in result["left_out"]["vision+lateral"]
    model_, names = WorldModel.from_pretrained(model), store.studies()
    split, y = (np.array([one[key] for one in kept], dtype) for key, dtype in (("split", str), ("cardiomegaly", float)))
    x = model_.features(np.stack([store.read_at(study, 0.0) for study in names]))
    rows = np.concatenate([np.flatnonzero(split == "train"), np.flatnonzero(split == "validation")])
    held = np.arange(len(rows)) >= (split == "train").sum()
    scores = fit(x[rows], y[rows].astype(int), label="", features="", held=held).probability(x[split == "test"])
    assert value(result, "cardiomegaly", "volumetric", "auroc") == pytest.approx(
        roc_auc_score(y[split == "test"], scores)
    )


def test_numbers_and_any_event(home: Path, nlst: Path, model: Path) -> None:
    """A measured column is a target; so is a pair of columns; a table given beside the store goes before it."""
    store = ViewStore.open(nlst)
    rng = np.random.default_rng(0)
    with (home / "more.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["study", "heart_ml", "grade", "death", "death_years"])
        for study in store.studies():
            brightness = float(store.read_at(study, 0.0).mean())
            ill = store.read_labels(study)["event"] or 0
            out.writerow([study, 300 * brightness, int(rng.integers(0, 4)), ill, 5 - 2 * ill + rng.random()])
    words = ["--views", nlst, "--table", home / "more.csv", "--source", model, "--seeds", 0, "--labels", "all"]
    words += ["--methods", "pixels", "resnet50", "--size", "tiny", "--budget", 1, "--device", "cpu"]
    words += ["--tasks", "heart_ml", "grade", "death,death_years", "--out", home / "numbers"]
    assert run("evaluate", "downstream", *words) == 0
    result = json.loads((home / "numbers" / "downstream.json").read_text())
    assert result["settings"]["numbers"] == ["heart_ml", "grade"]
    assert value(result, "heart_ml", "pixels", "concordance") > 0.9
    assert value(result, "heart_ml", "pixels", "r2") > 0.8
    assert 0 <= value(result, "grade", "pixels", "concordance") <= 1
    assert value(result, "death,death_years", "resnet50", "harrell_c") >= 0
    assert "findings and events only" in result["left_out"]["heart_ml, grade of resnet50"]


def test_no_patient_is_on_two_sides_of_any_stage(
    home: Path, nlst: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage that learns from a store, on yearly scans: whom it learns from, and whom it holds out."""
    from xray2xray.evaluation.baselines import build_baselines, training_set
    from xray2xray.evaluation.ood import measure_inputs
    from xray2xray.experiments.adaptation.train import rendered_frontals
    from xray2xray.experiments.downstream.cohort import read_cohort
    from xray2xray.experiments.downstream.methods import Lesson, held_out
    from xray2xray.training.patients import fingerprint, known_patients
    from xray2xray.training.sources import read_studies

    store = ViewStore.open(nlst)
    labels = {study: store.read_labels(study) for study in store.studies()}
    of = {
        part: {one["patient"] for one in labels.values() if one["split"] == part}
        for part in ("train", "validation", "test")
    }
    patients = [one["patient"] for one in labels.values()]
    assert len(patients) > len(set(patients)), "some participants have several scans"
    # V, M, samplers, and pre-training without labels
    for most in (1, 2, 3, 5):
        studies = read_studies([nlst], None, 32, most)
        learned, watched = studies.patients[: len(studies.weight)], studies.patients[len(studies.weight) :]
        assert set(learned) == of["train"]
        assert watched
        assert set(watched) <= of["validation"]
    # input statistics, baselines, the rendered half of an adapter's training: all read these studies only
    assert {labels[study]["patient"] for study in store.training_studies()} == of["train"]
    taken: list[str] = []
    read = ViewStore.read_standard
    monkeypatch.setattr(
        ViewStore,
        "read_standard",
        lambda self, studies=None, dtype=np.uint16: taken.extend(studies or []) or read(self, studies, dtype),
    )
    monkeypatch.setattr(
        ViewStore, "read_at", lambda self, study, yaw_deg: taken.append(study) or self.read(study, [yaw_deg]).views_p[0]
    )
    build_baselines(store)
    measure_inputs(store, WorldModel.from_pretrained(model))
    training_set([nlst])
    rendered_frontals(store)
    assert {labels[study]["patient"] for study in taken} == of["train"]
    # who the model says that it has seen
    assert known_patients(model) & set(map(fingerprint, of["test"])) == set()
    assert set(map(fingerprint, of["train"])) <= known_patients(model)
    # probes, heads and networks
    cohort = read_cohort(nlst, ["cvd", "cvd_time"])
    assert set(cohort.patients[cohort.rows("test")]) == of["test"]
    for n in (8, 12):
        lesson = Lesson.of(cohort, n, 0)
        assert set(cohort.patients[lesson.rows]) <= of["train"]
        assert len(set(cohort.patients[lesson.rows])) == n
        assert set(cohort.patients[lesson.chosen]) == (of["validation"] if n == 12 else set())
    everyone = cohort.truth.only(["cvd"], False).take(cohort.rows("train"))
    owner = cohort.patients[cohort.rows("train")]
    for seed in range(5):
        aside = held_out(everyone, seed, owner)
        assert not set(owner[aside]) & set(owner[~aside])


def test_the_adapter_learns_from_training_rows_and_holds_whole_patients_out(tmp_path: Path) -> None:
    from xray2xray.data.radiographs import list_radiographs
    from xray2xray.experiments.adaptation.train import by_patient, read_normalised

    fake_cohorts.nih(tmp_path / "NIH", {"train": 8, "test": 4})
    assert run("cohort", tmp_path / "NIH", "--kind", "nih", "--out", tmp_path / "nih.csv", "--workers", 1) == 0
    files = list_radiographs([tmp_path / "nih.csv"])
    assert {file.part for file in files} == {"train", "test"}
    ordered = by_patient([file for file in files if file.part == "train"], seed=3)
    owners = [file.patient for file in ordered]
    assert len(owners) > len(set(owners))
    assert all(owners[i] == owners[i - 1] or owners[i] not in owners[:i] for i in range(1, len(owners))), "neighbours"
    views, held = read_normalised(ordered, 32)
    assert 0 < held < len(views)
    assert not set(owners[:-held]) & set(owners[-held:])


def test_a_model_of_ct_is_compared_with_its_own_cohort(home: Path, nlst: Path, model: Path, capsys) -> None:
    """`rotate` names whose baselines and statistics it uses; without them it says which command makes them."""
    scan = next((home / "NLST" / "NLST").glob("*/*/*"))
    words = ["--source", model, "--form", "direct", "--device", "cpu"]
    assert run("rotate", scan, "--out", home / "turned", *words) == 0
    settings = json.loads((home / "turned" / "report.json").read_text())["settings"]
    assert "of 12 patients in nlst-views (rendered from real CT)" in settings["baselines"]
    assert "of 12 patients in nlst-views" in settings["input_statistics"]
    (model / "baselines.npz").unlink()
    assert run("rotate", scan, "--out", home / "again", *words) == 1
    assert "baselines.npz of its own cohort" in capsys.readouterr().err
    words = ["--views", nlst, "--source", model, "--out", model / "baselines.npz", "--device", "cpu"]
    assert run("evaluate", "baselines", *words) == 0
    assert run("rotate", scan, "--out", home / "again", "--source", model, "--form", "direct", "--device", "cpu") == 0


def test_an_edited_table_changes_the_store(home: Path, nlst: Path) -> None:
    rows = rows_of(home / "nlst.csv")
    store = ViewStore.open(nlst)
    before = store.read(rows[0]["study"])
    for row in rows:
        row["age"] = "61"
    with (home / "edited.csv").open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)
    assert run("render", home / "edited.csv", "--out", nlst, "--size", 32, "--workers", 1) == 0
    after = store.read(rows[0]["study"])
    assert after.labels == {**before.labels, "age": 61}
    np.testing.assert_array_equal(after.views_p, before.views_p)
    rows[0]["split"] = "test" if rows[0]["split"] == "train" else "train"
    twice = [row for row in rows if row["patient"] == rows[1]["patient"]]
    assert len(twice) > 1
    rows[1]["split"] = "test" if rows[1]["split"] == "train" else "train"
    with (home / "torn.csv").open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)
    assert run("render", home / "torn.csv", "--out", nlst, "--size", 32, "--workers", 1) == 1


def test_chest_xray14_by_its_config(home: Path, model: Path) -> None:
    """No validation list: a part of the training patients chooses. Of a patient of 414 years the age is unknown."""
    fake_cohorts.nih(home / "NIH", {"train": 16, "test": 12})
    words = ["--kind", "nih", "--labels", "edema", "pleural_effusion", "--out", home / "nih.csv", "--workers", 1]
    assert run("cohort", home / "NIH", *words) == 0
    views = ["--source", model, "--out", home / "nih-views", "--size", 32, "--workers", 1]
    assert run("render", home / "nih.csv", *views, "--preparation", "lung_field") == 0
    words = ["--config", CONFIGS / "nih.yaml", "--views", home / "nih-views", "--source", model, "--labels", "all"]
    words += ["--seeds", 0, "--methods", "age_sex", "vision", "--out", home / "nih-table", "--device", "cpu"]
    assert run("evaluate", "downstream", *words) == 0
    result = json.loads((home / "nih-table" / "downstream.json").read_text())
    assert result["settings"]["tasks"] == ["edema", "pleural_effusion"]
    assert result["left_out"] == {}
    assert result["prepared"] == ["lung_field"]
    rows = {row["method"] for row in result["rows"]}
    assert rows == {"age_sex", "vision", "volumetric"}


def test_lidc_teaches_a_model_that_is_tested_on_its_own_test_split(home: Path, model: Path) -> None:
    fake_cohorts.lidc(home / "LIDC", {"train": 10, "validation": 1, "test": 2})
    words = ["--kind", "lidc", "--split", "patient", "--out", home / "lidc.csv", "--workers", 1]
    assert run("cohort", home / "LIDC", *words, "--views", "all") == 0
    rows = rows_of(home / "lidc.csv")
    assert {row["view"] for row in rows} == {"CT", "PA", "lateral"}
    words = ["--out", home / "lidc-views", "--size", 32, "--source", model, "--lifted", "--workers", 1]
    assert run("render", home / "lidc.csv", *words) == 0
    assert len(ViewStore.open(home / "lidc-views")) == len([row for row in rows if row["view"] != "lateral"])
    words = ["--config", CONFIGS / "lidc.yaml", "--recipe", home / "small.yaml", "--steps", 2, "--device", "cpu"]
    assert run("train", *words, "--views", home / "lidc-views", "--out", home / "lidc-run") == 0
    words = ["--source", home / "lidc-run" / "model", "--models", "direct", "--remove-couch", "--device", "cpu"]
    words += ["--train", home / "lidc-views", "--out", home / "lidc-table", "--pictures", 0]
    assert run("evaluate", "views", home / "lidc.csv", *words) == 0
    result = json.loads((home / "lidc-table" / "views.json").read_text())
    tested = {row["study"] for row in rows if row["view"] == "CT" and row["split"] == "test"}
    assert {case["case"] for case in result["cases"]} == tested
    assert "10 studies of 10 patients in lidc-views" in result["settings"]["baselines"]
