"""Cohorts: the table says what the volumes hold, and the column dictionary says what the table says."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import xray2xray
from xray2xray.commands import cli
from xray2xray.core.evidence import VIRTUAL
from xray2xray.data.cohorts.plain import read_plain
from xray2xray.evaluation.cases import sources
from xray2xray.phantoms import COLUMNS, LABELS, PATHOLOGIES, cohort_row, patient_labels, patient_volume
from xray2xray.phantoms.patient import sample_patient
from xray2xray.volume.nifti import is_virtual_patient


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "out"
    options = ["--out", str(out), "--count", "2", "--seed", "999999", "--size", "32", "--truth", "--workers", "1"]
    assert cli.main(["phantom", *options]) == 0
    return out


def test_every_column_is_documented(cohort: Path) -> None:
    rows = table(cohort / "cohort.csv")
    assert list(rows[0]) == list(COLUMNS)
    assert [row["column"] for row in table(cohort / "columns.csv")] == list(COLUMNS)
    assert all(row["meaning"] for row in table(cohort / "columns.csv"))


def test_the_readers_of_cohorts_take_the_table(cohort: Path) -> None:
    read = read_plain(cohort / "cohort.csv")
    assert [sample.patient for sample in read.samples] == ["thorax-0999999", "thorax-1000000"]
    assert set(PATHOLOGIES) <= set(read.label_names)


def test_phantom_end_to_end(cohort: Path) -> None:
    rows = table(cohort / "cohort.csv")
    assert [row["study"] for row in rows] == ["thorax-0999999", "thorax-1000000"]
    assert rows[1]["split"] == "test"
    volume = nib.load(cohort / rows[1]["volume"])
    assert volume.shape == (32, 32, 32)
    assert np.allclose(np.asarray(volume.dataobj), np.rint(patient_volume(1_000_000, 32).hu))
    assert is_virtual_patient(cohort / rows[1]["volume"])  # whoever evaluates it says so, and not "real CT"
    assert next(sources([cohort / rows[1]["volume"]])).rung == VIRTUAL
    assert (cohort / "thorax-1000000_tissue.nii.gz").is_file()
    assert (cohort / "tissues.csv").is_file()


def test_many_processes_make_the_same_cohort(cohort: Path, tmp_path: Path) -> None:
    xray2xray.phantom(tmp_path / "out", count=2, seed=999_999, size=32, workers=2)
    assert (tmp_path / "out" / "cohort.csv").read_bytes() == (cohort / "cohort.csv").read_bytes()
    one, two = (np.asarray(nib.load(f / "thorax-0999999.nii.gz").dataobj) for f in (cohort, tmp_path / "out"))
    assert np.array_equal(one, two)


def test_a_row_is_consistent() -> None:
    for seed in range(60):
        row = cohort_row(sample_patient(seed))
        for name in PATHOLOGIES:
            assert row[name] == int(row[f"{name}_severity"] > 0)
        for name in ("atelectasis", "consolidation"):
            assert (row[f"{name}_lobe"] != "") == bool(row[name])
        assert max(row["effusion_right"], row["effusion_left"]) == row["pleural_effusion_severity"]
        assert 0 < row["time_years"] <= 10
        assert 0 < row["event_risk_10y"] < 1


def test_labels_are_those_of_the_row() -> None:
    labels, row = patient_labels(5), cohort_row(sample_patient(5))
    assert list(labels) == [*LABELS, "event", "time_years"]
    assert labels == {name: row[name] for name in labels}
    assert {labels[name] for name in LABELS} <= {0, 1}
