"""NRRD: written by the library that reads it, and headers by hand for what it does not write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.volume import Volume, is_volume, read_nrrd, read_volume

Chest = Callable[..., Volume]
DIRECTIONS = np.array([[0, 2.0, 0], [-3.0, 0, 0], [0, 0, 5.0]])  # of each axis, in the space
PLACE: dict[str, Any] = {"space directions": DIRECTIONS, "space origin": [10, 20, 30]}
VALUES = np.arange(24, dtype=np.int16).reshape(4, 3, 2)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "ascii"])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr"])
@pytest.mark.parametrize(
    ("space", "signs"),
    [("left-posterior-superior", (-1, -1, 1)), ("right-anterior-superior", (1, 1, 1)), ("LAS", (-1, 1, 1))],
)
def test_values_and_place(tmp_path: Path, encoding: str, name: str, space: str, signs: tuple[int, ...]) -> None:
    nrrd.write(str(tmp_path / name), VALUES, {**PLACE, "space": space, "encoding": encoding})
    assert is_volume(tmp_path / name)
    volume = read_nrrd(tmp_path / name)
    np.testing.assert_array_equal(volume.hu, VALUES)
    np.testing.assert_allclose(volume.affine[:3, 3], np.multiply([10, 20, 30], signs))
    np.testing.assert_allclose(volume.affine[:3, :3], (DIRECTIONS * signs).T)


def test_a_chest_stands_where_it_was(tmp_path: Path, chest: Chest) -> None:
    volume = chest((4.0, 4.0, 8.0))
    lps = np.diag([-1.0, -1, 1, 1]) @ volume.affine
    header = {"space": "left-posterior-superior", "space directions": lps[:3, :3].T, "space origin": lps[:3, 3]}
    nrrd.write(str(tmp_path / "a.nrrd"), volume.hu.astype(np.int16), header)
    found = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(found.hu, volume.hu)
    np.testing.assert_allclose(found.affine, volume.affine)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({}, "no place in the patient"),
        ({"spacings": [2, 2, 2]}, "no place in the patient"),
        ({**PLACE, "space": "scanner-xyz"}, "space scanner-xyz"),
        ({**PLACE, "space": "RAS", "space units": ["furlong"] * 3}, "space units are furlong"),
        ({"space": "RAS", "space origin": [0, 0, 0], "space directions": np.ones((3, 3))}, "singular"),
    ],
)
def test_no_place_in_the_patient_is_refused(tmp_path: Path, header: dict[str, Any], says: str) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), VALUES, header)
    with pytest.raises(InputError, match=says):
        read_nrrd(tmp_path / "a.nrrd")


def test_other_numbers_of_axes_damage_and_foreign_data_files(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    nrrd.write(str(path), np.zeros((2, 2, 2, 2), np.int16))
    with pytest.raises(InputError, match="holds 4 axes"):
        read_nrrd(path)
    nrrd.write(str(path), VALUES, {**PLACE, "space": "RAS", "encoding": "gzip"})
    whole = path.read_bytes()
    for content in (whole[:-20], b"NRRD0004\n", b"no scan", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.nrrd") as caught:
            read_nrrd(path)
        assert "\n" not in str(caught.value)
    nrrd.write(str(tmp_path / "b.nhdr"), VALUES, {**PLACE, "space": "RAS", "encoding": "raw"})
    header = (tmp_path / "b.nhdr").read_text()
    (tmp_path / "b.nhdr").write_text(header.replace("data file: ", "data file: ../"))
    with pytest.raises(InputError, match="its data file is"):
        read_nrrd(tmp_path / "b.nhdr")
