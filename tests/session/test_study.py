"""A radiograph as a study: what was assumed of it is said, whoever gives it and in whatever way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.radiograph.films import write_dicom
from xray2xray.core.errors import InputError
from xray2xray.data.inputs import Input
from xray2xray.projection import preset
from xray2xray.session.study import COUCH_NOTE, open_input
from xray2xray.volume import Volume

from ..data.cohorts.conftest import picture

ASSUMED = "assumed to be PA; say --view ap if it is not"
AP = "AP: taken from the front, so the heart is magnified more than in PA"


@pytest.fixture
def gray() -> np.ndarray:
    return picture(0, 128)


def notes(given: object, view: str = "auto") -> list[str]:
    study = open_input(given, preset("chest", 128), view=view)  # type: ignore[arg-type]
    assert not study.calibrated
    return [note for note in study.notes if not note.startswith("uncalibrated")]


def test_an_assumed_view_is_said(tmp_path: Path, gray: np.ndarray) -> None:
    Image.fromarray(gray).save(tmp_path / "a.tif")
    bare = write_dicom(tmp_path / "bare.dcm", 16.0 * gray)
    for given in (tmp_path / "a.tif", bare, gray, (tmp_path / "a.tif").read_bytes(), Input("a", bare, "frontal")):
        assert notes(given) == [ASSUMED]
        assert notes(given, "pa") == []
        assert notes(given, "ap") == [AP]


def test_a_view_that_is_known_is_not_assumed(tmp_path: Path, gray: np.ndarray) -> None:
    Image.fromarray(gray).save(tmp_path / "a.png")
    assert notes(Input("a", tmp_path / "a.png", "PA erect")) == []
    assert notes(Input("a", tmp_path / "a.png", "AP Supine")) == [AP]
    assert notes(write_dicom(tmp_path / "pa.dcm", 16.0 * gray, ViewPosition="PA")) == []
    assert notes(write_dicom(tmp_path / "ap.dcm", 16.0 * gray, ViewPosition="AP")) == ["the DICOM header says AP", AP]


def test_other_views_are_refused(tmp_path: Path, gray: np.ndarray) -> None:
    Image.fromarray(gray).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: a lateral view \(the table says Lateral\)"):
        notes(Input("a", tmp_path / "a.png", "Lateral"))
    with pytest.raises(InputError, match=r"b\.dcm: a lateral view"):
        notes(write_dicom(tmp_path / "b.dcm", 16.0 * gray, ViewPosition="LATERAL"))
    with pytest.raises(InputError, match="the bytes: an oblique view"):
        notes(write_dicom(tmp_path / "c.dcm", 16.0 * gray, ViewPosition="LAO").read_bytes())


def test_an_array_of_two_films_is_refused_and_a_crop_said(gray: np.ndarray) -> None:
    with pytest.raises(InputError, match="the array: 256 x 128 pixels: two films"):
        notes(np.hstack([gray, gray]))
    assert notes(np.pad(gray, ((20, 20), (0, 0)), mode="edge"), "pa") == [
        "cropped to the middle square: 24 % of the height was left out"
    ]


def test_what_was_chosen_on_reading_stands_in_the_notes(
    tmp_path: Path, scanner: Any, chest: Callable[..., Volume]
) -> None:
    volume = chest((4.0, 4.0, 8.0))
    scanner.series(tmp_path / "a", volume, uid="1.2.1")
    scanner.series(tmp_path / "b", volume, uid="1.2.2", every=2)
    for remove_couch, last in ((False, "1.2.2 ("), (True, COUCH_NOTE)):
        study = open_input(tmp_path, preset("chest", 16), remove_couch=remove_couch)
        assert "2 CT series, reading 1.2.1" in study.notes[0]
        assert last in study.notes[-1]
