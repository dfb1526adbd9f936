"""One input of a batch that is missing or wrong: the others run, failed.csv lists it, the exit code is 0."""

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xray2xray.commands import cli
from xray2xray.data.inputs import list_inputs


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def listed(path: Path) -> dict[str, str]:
    """What was wrong, by input."""
    with path.open(encoding="utf-8") as file:
        return {row["input"]: row["problem"] for row in csv.DictReader(file)}


@pytest.fixture
def wrong(tmp_path: Path) -> list[Path]:
    """A file and a table that do not exist, an empty folder, a name too long, a table that is none."""
    (tmp_path / "nothing").mkdir()
    (tmp_path / "two.csv").write_text("path,path\na.png,b.png\n")
    missing = [tmp_path / name for name in ("absent.png", "absent.nii.gz", "absent.csv", f"{'a' * 300}.png")]
    return [*missing, tmp_path / "nothing", tmp_path / "two.csv"]


VERBS = {
    "rotate": ["--yaw-deg", "0"],
    "reconstruct": ["--size", "16"],
    "adapt": ["--adapter", "cyclegan"],
    "embed": ["--kind", "vision"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_radiographs(verb: str, wrong: list[Path], radiograph: Path, model: Path, tmp_path: Path) -> None:
    last = tmp_path / "last.png"
    last.write_bytes(radiograph.read_bytes())
    out = tmp_path / ("f.csv" if verb == "embed" else "out")
    words = [*VERBS[verb], *([] if verb == "adapt" else ["--source", model]), "--out", out]
    assert run(verb, radiograph, *wrong, last, *words) == 0
    failed = listed(tmp_path / "f.failed.csv" if verb == "embed" else out / "failed.csv")
    assert set(failed) == set(map(str, wrong))
    assert "columns 1 and 2 are both called path" in failed[str(tmp_path / "two.csv")]
    made = out.read_text() if verb == "embed" else "\n".join(path.name for path in out.iterdir())
    assert "chest" in made
    assert "last" in made


@pytest.mark.parametrize("verb", ["render", "evaluate views", "evaluate controls"])
def test_scans(verb: str, wrong: list[Path], cohort: Path, model: Path, tmp_path: Path) -> None:
    wrong, out = [path for path in wrong if path.suffix != ".csv"], tmp_path / "out"
    first, last = cohort / "thorax-0000040.nii.gz", cohort / "thorax-0000041.nii.gz"
    words: list[object] = ["--source", model]
    words += ["--candidates", "2"] if verb == "evaluate controls" else []
    words = ["--workers", "1", "--size", "32", "--yaw-deg", "0"] if verb == "render" else words
    assert run(*verb.split(), first, *wrong, last, *words, "--out", out) == 0
    assert set(listed(out / "failed.csv")) == set(map(str, wrong))
    if verb == "render":
        assert {path.stem for path in out.glob("*.npz")} == {"thorax-0000040", "thorax-0000041"}


def test_nothing_left(
    wrong: list[Path], radiograph: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 where no input can be used, and nothing is written."""
    words = ["--source", model, "--out", tmp_path / "out"]
    assert run("rotate", *wrong, *words) == 1
    assert "none of the 6 inputs could be used" in capsys.readouterr().err
    assert run("rotate", *wrong[:4], *words) == 1, "found before anything is read"
    assert "absent.png: there is no such file or folder, nor 3 others" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_later_run_takes_the_list_away(radiograph: Path, model: Path, tmp_path: Path) -> None:
    words = ["--source", model, "--out", tmp_path / "f.npz", "--kind", "vision"]
    assert run("embed", radiograph, tmp_path / "absent.png", *words) == 0
    assert (tmp_path / "f.failed.csv").exists()
    assert run("embed", radiograph, *words, "--overwrite") == 0
    assert not (tmp_path / "f.failed.csv").exists()


def test_a_folder_of_scans_is_rendered_one_by_one(cohort: Path, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for i in (0, 1):
        (scans / f"{i}.nii.gz").symlink_to(cohort / f"thorax-000004{i}.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), scans / "small.nii.gz")
    out = tmp_path / "out"
    assert run("render", scans, "--workers", "1", "--size", "32", "--yaw-deg", "0", "--out", out) == 0
    assert list(listed(out / "failed.csv")) == [str(scans / "small.nii.gz")]


def test_tables_of_inputs(radiograph: Path, tmp_path: Path) -> None:
    """Rows without a path are said; series and Windows paths are understood."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(radiograph.read_bytes())
    table = tmp_path / "t.tsv"
    table.write_text("study\tpath\tseries\na\tpictures\\a.png\t1.2.3\nb\tNA\t\nc\tabsent.png\t\n")
    lost, first, missing = list_inputs([table])
    assert lost.problem == f"{table}: 1 rows have no path, first line 3; fill it in"
    assert (first.study, first.path, first.series) == ("a", tmp_path / "pictures" / "a.png", "1.2.3")
    assert missing.study == "c"
    assert missing.problem == f"{table}, line 4: no such file 'absent.png'; paths are relative to the table"
