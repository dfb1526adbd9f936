"""`xray2xray cohort`: from a delivered folder to the table that `embed` takes."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from xray2xray.commands import cli
from xray2xray.core.errors import InputError
from xray2xray.data.inputs import Input, list_inputs
from xray2xray.projection import preset
from xray2xray.session.study import open_input


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def table(real_data: Path, tmp_path: Path) -> Path:
    """NIH ChestX-ray14 at hand, laid out as it is delivered: the 256 pixel pictures, seven patients in test."""
    source = real_data / "cxr_nih"
    if not source.is_dir():
        pytest.skip(f"no ChestX-ray14 pictures at {source}; set XRAY2XRAY_DATA")
    root = tmp_path / "nih"
    (root / "images").mkdir(parents=True)
    rows = [row for row in read(source / "labels.csv") if row["set"] == "nih256"]
    lists: dict[bool, list[str]] = {False: [], True: []}
    with (root / "Data_Entry_2017_v2020.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "View Position"])
        for row in rows:
            (root / "images" / row["image"]).symlink_to(source / "nih256" / row["image"])
            out.writerow([row["image"], row["labels"], 0, row["patient"], row["view"]])
            lists[int(row["patient"]) > 8].append(row["image"])
    (root / "train_val_list.txt").write_text("\n".join(lists[False]))
    (root / "test_list.txt").write_text("\n".join(lists[True]))
    return root


def test_real_pictures(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (table / "images" / "00000002_000.png").unlink()
    out = tmp_path / "cohort.csv"
    assert run("cohort", table, "--kind", "nih", "--out", out, "--workers", 1) == 0
    said = capsys.readouterr().out
    assert "nih: 83 studies of 12 patients" in said
    assert "1 left out" in said
    rows = read(out)
    assert {row["split"] for row in rows} == {"train", "test"}
    assert {"cardiomegaly", "pleural_effusion", "no_finding"} <= set(rows[0])
    assert all((tmp_path / row["path"]).is_file() for row in rows)
    assert read(tmp_path / "cohort.failed.csv") == [{"what": "00000002_000.png", "problem": "labels without an image"}]
    assert (tmp_path / "cohort.csv.config.yaml").exists()
    items = list_inputs([out])
    assert [item.study for item in items] == [row["study"] for row in rows]
    assert {item.view for item in items} <= {"PA", "AP"}

    assert run("cohort", table, "--kind", "nih", "--out", out) == 2, "not replaced unasked"
    words = ["--kind", "csv", "--out", tmp_path / "again.csv", "--workers", 1]
    with (table / "copied.csv").open("w", newline="") as file:
        copied = csv.DictWriter(file, ["study", "patient", "path", "split"], extrasaction="ignore")
        copied.writeheader()
        copied.writerows({**row, "path": tmp_path / row["path"]} for row in rows)
        Image.open(tmp_path / rows[0]["path"]).convert("L").save(table / "again.jpg", quality=60)
        copied.writerow({"study": "other", "patient": "other", "path": table / "again.jpg", "split": "test"})
    assert run("cohort", table / "copied.csv", *words) == 1
    assert f"nearly the same picture is in train and test, 1 pair ({rows[0]['study']} and other)" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "again.csv").exists()
    assert run("cohort", table / "copied.csv", *words, "--skip-images") == 0


def test_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(40):
        Image.effect_noise((64, 64), 90).resize((80, 80)).save(tmp_path / f"{i}.png")
    lines = [f"{i}.png,{i // 2},{'lateral' if i % 4 == 3 else 'PA'},{i % 2},{-(i % 2)}" for i in range(40)]
    (tmp_path / "own.csv").write_text("\n".join(["path,patient,view,edema,cvd", *lines]))
    words = ["cohort", tmp_path / "own.csv", "--kind", "csv", "--out", tmp_path / "out.csv", "--overwrite"]
    words += ["--workers", 1]
    assert run(*words, "--split", "patient", "--labels", "edema") == 0
    rows = read(tmp_path / "out.csv")
    assert list(rows[0]) == ["study", "patient", "path", "view", "split", "edema"]
    assert len(rows) == 30, "laterals are left out"
    assert run(*words, "--views", "all", "--uncertain", "ones", "--skip-images") == 0
    rows = read(tmp_path / "out.csv")
    assert len(rows) == 40
    assert [row["cvd"] for row in rows] == [row["edema"] for row in rows]
    capsys.readouterr()
    assert run(*words, "--labels", "cvd") == 1
    assert "cvd is 0 in all" in capsys.readouterr().err
    assert run(*words, "--labels", "death") == 1
    assert "no label death; this cohort has edema, cvd" in capsys.readouterr().err
    assert run("cohort", tmp_path / "none", "--kind", "nih") == 1
    assert run("cohort", "--kind", "nih") == 2


def test_embed_leaves_laterals_out() -> None:
    with pytest.raises(InputError, match="the table says lateral"):
        open_input(Input("s", Path("x.png"), "lateral"), preset("chest", 128))
