"""A cohort that would make a number worthless is refused, with what is wrong and what to do."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from xray2xray.core.errors import InputError
from xray2xray.data import cohorts
from xray2xray.data.cohorts import Cohort, Sample, fingerprint
from xray2xray.data.cohorts.fingerprint import NEAR, difference_hash, near_pairs


def made(**changes: tuple[str, ...]) -> Cohort:
    """Four studies of three patients in two splits, some fields changed."""
    columns = {"patient": ("a", "a", "b", "c"), "split": ("train", "train", "test", "test"), **changes}
    samples = [Sample(f"s{i}", "", Path(f"{i}.png"), "PA", labels={"edema": float(i % 2)}) for i in range(4)]
    return Cohort("csv", tuple(replace(s, **{k: v[i] for k, v in columns.items()}) for i, s in enumerate(samples)))


def refused(check: str, cohort: Cohort, said: str) -> None:
    getattr(cohorts, check)(made())
    with pytest.raises(InputError, match=said):
        getattr(cohorts, check)(cohort)


def test_splits() -> None:
    leaked = made(patient=("a", "a", "b", "a"))
    refused("check_split", leaked, "s3 is in test and s0 in train, but both come from patient a; keep all of a patient")
    refused("check_split", made(split=("train", "", "test", "")), "2 studies are in no split, first s1")


def test_names() -> None:
    refused("check_names", made(study=("x", "x", "y", "z")), "2 studies are called x")
    refused("check_names", made(study=("Müller, Anna", "x", "y", "z")), "no safe file name")
    refused(
        "check_names", Cohort("nih", (), {"a.png": "labels without an image"}), "nothing can be used .1 failed; a.png"
    )


def test_labels() -> None:
    cohort = made()
    with pytest.raises(InputError, match="no label cvd; this cohort has edema"):
        cohort.with_labels(["cvd"])
    one = Cohort("csv", tuple(replace(s, labels={"edema": 1.0}) for s in cohort.samples))
    refused("check_classes", one, "edema is 1 in all train studies")
    none = Cohort("csv", tuple(replace(s, split="", labels={"edema": np.nan}) for s in cohort.samples))
    refused("check_classes", none, "edema is unknown in all  ?studies")


def test_patients_are_dealt_by_a_hash() -> None:
    samples = tuple(Sample(f"s{i}", f"p{i // 2}", Path("x.png"), "PA") for i in range(4000))
    cohort = Cohort("nih", samples).split_by_patient()
    cohorts.check_split(cohort)
    shares = [np.mean([s.split == part for s in cohort.samples]) for part in ("train", "validation", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.03)
    part = Cohort("nih", samples[1000:1010]).split_by_patient()
    assert part.samples == cohort.samples[1000:1010], "it depends on nothing but the patient"


def test_the_papers_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = replace(made(), kind="nlst")
    assert cohorts.paper_sizes(made()) is None
    said = cohorts.paper_sizes(cohort)
    assert said is not None
    assert said.startswith("warning: not the paper's participants: train 1 of 7,268, validation 0 of 1,042")
    monkeypatch.setitem(cohorts.checks.PAPER_SIZES, "nlst", {"train": 1, "test": 2})
    assert cohorts.paper_sizes(cohort) == "participants as in the paper: train 1 of 1, test 2 of 2"


def test_one_file_or_picture_in_two_splits(nih: Path, tmp_path: Path) -> None:
    pictures = sorted((nih / "images_001" / "images").glob("*.png"))
    copy, brighter = tmp_path / "copy.png", tmp_path / "brighter.jpg"
    copy.write_bytes(pictures[0].read_bytes())
    ImageOps.autocontrast(Image.open(pictures[0]), 5).resize((200, 200)).save(brighter, quality=70)

    def check(*paths: Path) -> None:
        cohort = made()
        cohort = Cohort("csv", tuple(replace(s, path=path) for s, path in zip(cohort.samples, paths, strict=True)))
        prints = {s.study: one for s in cohort.samples if not isinstance(one := fingerprint(s), str)}
        cohorts.check_images(cohort, prints)

    check(pictures[0], copy, pictures[1], pictures[2])
    with pytest.raises(InputError, match=r"the same file is in two splits, 1 pair .s0 and s3.; write the table with"):
        check(pictures[0], pictures[1], pictures[2], copy)
    with pytest.raises(InputError, match=r"nearly the same picture is in train and test, 1 pair .s0 and s2."):
        check(pictures[0], pictures[1], brighter, pictures[2])


def test_damaged_files(lidc: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    said = fingerprint(Sample("s", "p", tmp_path / "bad.png", "PA"))
    assert isinstance(said, str)
    assert "not an image" in said
    (tmp_path / "empty").mkdir()
    assert fingerprint(Sample("s", "p", tmp_path / "empty", "CT")) == f"{tmp_path / 'empty'}: the folder is empty"
    scan = fingerprint(next(s for s in cohorts.read_cohort(lidc, "lidc").samples if s.view == "CT"))
    assert not isinstance(scan, str)
    assert scan.bits is None


# ---------------------------------------------------------------- on real radiographs


def test_the_threshold_for_near_duplicates(real_data: Path, tmp_path: Path) -> None:
    """What fingerprint.py states, on every third picture: different people are far apart, copies are near."""
    folder = real_data / "cxr_nih"
    if not folder.is_dir():
        pytest.skip(f"no ChestX-ray14 pictures at {folder}; set XRAY2XRAY_DATA")
    with (folder / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "nih64"][::3]
    bits = np.array([difference_hash(folder / "nih64" / row["image"]) for row in rows])
    patient = np.array([row["patient"] for row in rows])
    pairs = near_pairs(bits, bits)
    assert all(patient[i] == patient[j] for i, j in pairs), "no two people are taken for one"
    distance = (bits[:, None] != bits[None]).sum(-1)
    assert distance[patient[:, None] != patient[None]].min() >= 70
    for row, one in list(zip(rows, bits, strict=True))[::10]:
        picture = Image.open(folder / "nih64" / row["image"]).convert("L")
        copies = ImageOps.invert(picture), ImageOps.autocontrast(picture, 2), picture.resize((128, 128))
        for copy in copies:
            copy.save(tmp_path / "copy.png")
            assert (difference_hash(tmp_path / "copy.png") != one).sum() <= 11 < NEAR
