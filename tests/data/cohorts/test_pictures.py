"""Releases of pictures as they lie on disks: in batches, in one folder, beside copies, with odd tables.

Sources: IBM/cdfsl-benchmark#3 and tensorflow/datasets#2041 (copies of ChestX-ray14), mlmed/torchxrayvision#39
and #55 (CheXpert), MIT-LCP/mimic-cxr#15, MIT-LCP/mimic-code#1018 (MIMIC); the rest are variants of the kind.
"""

import csv
import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from xray2xray.commands import cli
from xray2xray.core.errors import InputError
from xray2xray.data.cohorts import Cohort, read_cohort

from .conftest import picture

ORIGINALS = "images_001/images"


def resized(source: Path, target: Path, size: int) -> None:
    """Copies of the pictures of a folder in another size, which keep their names."""
    target.mkdir(parents=True)
    for path in source.iterdir():
        Image.open(path).resize((size, size)).save(target / path.name)


def read(root: Path, kind: str) -> Cohort:
    """The cohort; every picture below is a sample's, a copy of one, or was named as left out."""
    cohort = read_cohort(root, kind)  # type: ignore[arg-type]
    named = {sample.path.stem for sample in cohort.samples} | {Path(what).stem for what in cohort.failed}
    pictures = {path for path in root.rglob("*.*") if path.suffix in (".png", ".jpg") and path.name[0] != "."}
    assert {path.stem for path in pictures} <= named
    return cohort


@pytest.mark.parametrize("where", ["zz/resized", ".thumbs", "backup/old/images", "images-64/images", "aa"])
def test_nih_takes_the_original(where: str, nih: Path, caplog: pytest.LogCaptureFixture) -> None:
    resized(nih / ORIGINALS, nih / where, 64)
    cohort = read(nih, "nih")
    assert {sample.path.parent for sample in cohort.samples} == {nih / ORIGINALS}
    assert ("pictures have copies; the largest is taken" in caplog.text) == (not where.startswith("."))


def test_nih_copies_of_the_same_size(nih: Path) -> None:
    """Equal ones are one; of different ones that counts which lies as in the release, and nobody knows of others."""
    shutil.copytree(nih / ORIGINALS, nih / "aa")
    assert len(read(nih, "nih").samples) == 3
    for path in (nih / "aa").iterdir():
        Image.open(path).point([min(255, 2 * grey) for grey in range(256)]).save(path)
    assert {sample.path.parent for sample in read(nih, "nih").samples} == {nih / ORIGINALS}
    (nih / "images_001").rename(nih / "bb")
    cohort = read(nih, "nih")
    assert not cohort.samples
    assert cohort.failed["00000001_000.png"] == (
        "two different pictures have its name, aa/00000001_000.png and bb/images/00000001_000.png; "
        "take one out of the folder"
    )


def test_nih_as_jpeg_in_one_folder_with_the_table_below(nih: Path) -> None:
    for path in (nih / ORIGINALS).iterdir():
        Image.open(path).save(nih / f"{path.stem}.jpg")
        path.unlink()
    (nih / "tables").mkdir()
    for name in ("Data_Entry_2017.csv", "test_list.txt"):
        (nih / name).rename(nih / "tables" / name)
    (nih / "tables" / "._Data_Entry_2017.csv").write_bytes(b"\0\x05\x16\x07")
    cohort = read(nih, "nih")
    assert [sample.path.name for sample in cohort.samples][:1] == ["00000001_000.jpg"]
    assert [sample.split for sample in cohort.samples] == ["", "", "test"]


def test_nih_rows_out_of_pandas_or_said_twice(nih: Path) -> None:
    table = nih / "Data_Entry_2017.csv"
    text = table.read_text().replace("\r\n", "\n")
    lines = text.splitlines()
    table.write_text(text.replace(",0,2,", ",0,2.0,") + lines[1] + "\n")
    assert [sample.patient for sample in read(nih, "nih").samples] == ["00000001", "00000001", "00000002"]
    table.write_text(text + lines[1].replace("Effusion", "Edema") + "\n")
    with pytest.raises(InputError, match="lines 2 and 6 say different things of Image Index '00000001_000"):
        read_cohort(nih, "nih")
    table.write_text(text.replace("Hernia", "Hernie"))
    with pytest.raises(InputError, match="line 5, column Finding Labels: 'Hernie' is no finding"):
        read_cohort(nih, "nih")


def test_a_picture_that_no_row_names(nih: Path) -> None:
    (nih / "more").mkdir()
    Image.fromarray(picture(9)).save(nih / "more" / "00000009_000.png")
    assert read(nih, "nih").failed[str(nih / "more" / "00000009_000.png")] == "an image without a row in the table"


def joined(path: Path, root: Path) -> Path:
    return root / "all" / "_".join(path.parts[-3:])


def as_png(path: Path, root: Path) -> Path:
    return path.with_suffix(".png")


def in_batches(path: Path, root: Path) -> Path:
    batch = f"CheXpert-v1.0 batch {1 + int(path.parts[-3][-1]) % 2} ({path.parts[-4]})"
    return root / batch / Path(*path.parts[-3:])


@pytest.mark.parametrize("moved", [joined, as_png, in_batches])
def test_chexpert(moved: Callable[[Path, Path], Path], chexpert: Path) -> None:
    """In the batches of the full release, in one folder, as PNG: the same samples, and the missing one is named."""
    before = read(chexpert, "chexpert")
    for path in list(chexpert.rglob("*.jpg")):
        target = moved(path, chexpert)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".png":
            Image.open(path).save(target)
            path.unlink()
        else:
            path.rename(target)
    after = read_cohort(chexpert, "chexpert")
    assert [(s.study, s.patient, s.view, s.split) for s in after.samples] == [
        (s.study, s.patient, s.view, s.split) for s in before.samples
    ]
    assert (
        after.failed
        == before.failed
        == {"CheXpert-v1.0-small/train/patient00003/study2/view1_frontal.jpg": "labels without an image"}
    )


def test_chexpert_tables_in_the_first_batch_and_paths_of_windows(chexpert: Path) -> None:
    first = chexpert / "CheXpert-v1.0 batch 1 (validate & csv)"
    first.mkdir()
    for table in chexpert.glob("*.csv"):
        table.rename(first / table.name)
    table = first / "train.csv"
    table.write_text(table.read_text().replace("CheXpert-v1.0-small/train/", "C:\\data\\train\\").replace("/", "\\"))
    text = table.read_text().replace("Frontal\\Lateral", "Frontal/Lateral").replace("AP\\PA", "AP/PA")
    table.write_text(text)
    assert len(read_cohort(chexpert, "chexpert").samples) == 5


def test_chexpert_labels_that_are_none(chexpert: Path) -> None:
    table = chexpert / "train.csv"
    table.write_text(table.read_text().replace("1.0", "NA", 1))
    assert read_cohort(chexpert, "chexpert").samples[0].labels["edema"] == 1
    table.write_text(table.read_text().replace("0.0", "maybe", 1))
    with pytest.raises(InputError, match=r"train.csv, line 4, column Edema: 'maybe' is no label"):
        read_cohort(chexpert, "chexpert")


def rewritten(path: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    with opened(path, "wt", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def test_mimic(mimic: Path) -> None:
    """Ids as floats, all pictures in one folder, some resized beside."""
    before = read(mimic, "mimic")
    ids = ("subject_id", "study_id")
    for table in mimic.glob("*.csv*"):
        rewritten(table, lambda row: {name: f"{cell}.0" if name in ids else cell for name, cell in row.items()})
    (mimic / "all").mkdir()
    for path in list((mimic / "files").rglob("*.jpg")):
        path.rename(mimic / "all" / path.name)
    resized(mimic / "all", mimic / "a-small", 64)
    after = read(mimic, "mimic")
    assert [(s.study, s.patient, s.view, s.split) for s in after.samples] == [
        (s.study, s.patient, s.view, s.split) for s in before.samples
    ]
    assert {sample.path.parent.name for sample in after.samples} == {"all"}
    assert str([s.labels for s in after.samples]) == str([s.labels for s in before.samples])  # NaN is not NaN


def test_mimic_labels_said_twice(mimic: Path) -> None:
    table = mimic / "mimic-cxr-2.0.0-chexpert.csv.gz"
    text = gzip.decompress(table.read_bytes()).decode()
    last = text.splitlines()[-1]
    table.write_bytes(gzip.compress(f"{text}{last}\n".encode()))
    assert len(read(mimic, "mimic").samples) == 3
    table.write_bytes(gzip.compress(f"{text}{last.replace('1.0', '0.0')}\n".encode()))
    with pytest.raises(InputError, match="lines 2 and 3 say different things of study_id '50414267'"):
        read_cohort(mimic, "mimic")


def test_two_releases_of_a_table(mimic: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = mimic / "mimic-cxr-2.0.0-split.csv"
    (mimic / "mimic-cxr-2.1.0-split.csv").write_text(split.read_text().replace("validate", "test"))
    assert {sample.split for sample in read(mimic, "mimic").samples} == {"train", "test"}
    assert "reading mimic-cxr-2.1.0-split.csv, not mimic-cxr-2.0.0-split.csv" in caplog.text


def test_laterals_that_are_left_out_are_listed(chexpert: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.csv"
    assert cli.main(["cohort", str(chexpert), "--kind", "chexpert", "--out", str(out), "--skip-images"]) == 0
    with (tmp_path / "t.failed.csv").open() as file:
        said = {row["what"]: row["problem"] for row in csv.DictReader(file)}
    assert said["patient00001-study1-view2_lateral"] == "a lateral view; --views all keeps it"
