"""A CSV of posed views: what is read, what is left out, and what every mistake is called."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.errors import InputError
from xray2xray.experiments.pairs.table import read_posed, read_views, standardised


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("a0.png", "a90.png", "b0.png"):
        Image.fromarray(random.integers(0, 255, (30, 20), np.uint8)).save(tmp_path / name)
    np.save(tmp_path / "b90.npy", random.normal(size=(16, 16)))
    return tmp_path


def write(folder: Path, text: str) -> Path:
    table = folder / "cohort.csv"
    table.write_text(text, encoding="utf-8")
    return table


def test_studies_patients_and_parts(cohort):
    found = read_posed(
        write(
            cohort,
            "image,study,yaw_deg,patient,split,remark\n"
            "b0.png,b,0,p2,test,x\nb90.npy,b,90,p2,test,\na0.png,a,0,,,\na90.png,a,-90.0,,,\nb0.png,c,0,,,\n",
        )
    )
    assert [study.study for study in found.studies] == ["a", "b"]
    assert found.skipped == ("c: one view only",)
    first, second = found.studies
    assert (first.patient, first.split, first.yaw_deg) == ("a", "train", (0.0, -90.0))
    assert (second.patient, second.split, second.yaw_deg) == ("p2", "test", (0.0, 90.0))
    assert found.part("test") == (second,)
    views = read_views(second, 12)
    assert views.shape == (2, 12, 12)
    assert views.dtype == np.float32
    np.testing.assert_allclose(views.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(views.std((1, 2)), 1, atol=1e-5)


def test_what_is_standardised_already_stays_as_it_is():
    image = standardised(np.random.default_rng(0).normal(size=(20, 20)), 20, "x")
    np.testing.assert_allclose(standardised(image, 20, "x"), image, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,zero,a0.png\n", "line 2.*'zero' of study a is no number"),
        ("a,nan,a0.png\n", "is no number"),
        ("a,0\n", "study or image is empty"),
        ("a,0,lost.png\na,90,a90.png\n", "no study can be used; line 2: there is no image .*lost.png"),
        ("a,0,a0.png\na,0,a90.png\n", "line 3: study a has two views at 0 degrees"),
        ("a,0,a0.png\n", "no study has two views"),
    ],
)
def test_mistakes_are_named(cohort, rows, message):
    with pytest.raises(InputError, match=message):
        read_posed(write(cohort, "study,yaw_deg,image\n" + rows))


def test_a_lost_image_costs_its_study_only(cohort):
    rows = "a, 0, a0.png\na,90,a90.png\nb,0,b0.png\nb,90,lost.png\n"
    found = read_posed(write(cohort, "study, yaw_deg, image\n" + rows))
    assert [study.study for study in found.studies] == ["a"]
    assert found.skipped == (f"b: line 5: there is no image {cohort / 'lost.png'}",)


@pytest.mark.parametrize("grey", [np.array([["a", "b"]]), np.ones((4, 4)) * 1j, np.zeros((0, 4)), np.zeros((2, 2, 3))])
def test_arrays_that_are_no_picture(grey):
    with pytest.raises(InputError, match=r"x.npy: expected grey values \(h, w\)"):
        standardised(grey, 8, "x.npy")


def test_a_patient_stays_in_one_part(cohort):
    head = "study,yaw_deg,image,patient,split\n"
    with pytest.raises(InputError, match="patient p is in test and in train"):
        read_posed(write(cohort, head + "a,0,a0.png,p,train\na,90,a90.png,p,train\nb,0,b0.png,p,test\n"))
    with pytest.raises(InputError, match="another patient or split"):
        read_posed(write(cohort, head + "a,0,a0.png,p,train\na,90,a90.png,p,test\n"))


def test_tables_and_images_that_cannot_be_read(cohort):
    with pytest.raises(InputError, match="cannot be read as a CSV"):
        read_posed(cohort / "none.csv")
    with pytest.raises(InputError, match="no column yaw_deg, image"):
        read_posed(write(cohort, "study\na\n"))
    (cohort / "a0.png").write_bytes(b"no picture")
    study = read_posed(write(cohort, "study,yaw_deg,image\na,0,a0.png\na,90,a90.png\n")).studies[0]
    with pytest.raises(InputError, match=r"a0\.png: cannot be read as an image"):
        read_views(study, 12)
    Image.fromarray(np.full((30, 20), 7, np.uint8)).save(cohort / "a0.png")
    with pytest.raises(InputError, match="same grey"):
        read_views(study, 12)
