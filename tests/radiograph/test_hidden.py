"""Padding and shutters are air, whatever their pixels hold, and nothing else is."""

from pathlib import Path

import numpy as np
import pytest

from xray2xray.radiograph import read_radiograph

from .films import alike, write_dicom


@pytest.fixture
def surround() -> np.ndarray:
    hidden = np.zeros((256, 256), bool)
    hidden[:, :20] = hidden[:, -20:] = hidden[:16] = True
    return hidden


def see(path: Path, frontal: np.ndarray, hidden: np.ndarray, *says: str) -> None:
    """What is hidden is as dark as anything, and the chest keeps its scale of grey values."""
    read = read_radiograph(path, 256)
    assert read.gray[hidden].max() == 0
    assert np.ptp(read.gray[~hidden]) > 0.9
    assert alike(read.gray[~hidden], frontal[~hidden]) > 0.99
    for words in says:
        assert any(words in note for note in read.notes), read.notes


@pytest.mark.parametrize(
    ("value", "tags", "ds"),
    [
        (65535, {"BitsStored": 16, "HighBit": 15}, {"PixelPaddingValue": 65535}),
        (65535, {}, {"PixelPaddingValue": 65535}),  # beyond the 12 bits
        (62000, {"BitsStored": 16, "HighBit": 15}, {"PixelPaddingValue": 60000, "PixelPaddingRangeLimit": 65535}),
        (62000, {"BitsStored": 16, "HighBit": 15}, {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 60000}),
        (4095, {}, {"PixelPaddingValue": 4095}),
    ],
)
def test_padding(
    tmp_path: Path, frontal: np.ndarray, surround: np.ndarray, value: int, tags: dict[str, int], ds: dict[str, int]
) -> None:
    stored = np.rint(frontal * 4000)
    stored[surround] = value
    see(write_dicom(tmp_path / "a.dcm", stored, **tags, **ds), frontal, surround, "PixelPaddingValue")


def test_padding_in_monochrome_1_and_in_signed_values(
    tmp_path: Path, frontal: np.ndarray, surround: np.ndarray
) -> None:
    stored = 4095 - np.rint(frontal * 4000)
    stored[surround] = 0
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 0}
    see(write_dicom(tmp_path / "a.dcm", stored, **tags), frontal, surround, "PixelPaddingValue")
    signed = np.rint(frontal * 4000) - 1000
    signed[surround] = 30000
    tags = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15, "PixelPaddingValue": 30000}
    see(write_dicom(tmp_path / "b.dcm", signed, **tags), frontal, surround, "PixelPaddingValue")


def test_padding_written_with_the_other_sign(tmp_path: Path, frontal: np.ndarray, surround: np.ndarray) -> None:
    stored = np.rint(frontal * 4000)
    stored[surround] = 63536  # -2000 as a signed number
    path = write_dicom(tmp_path / "a.dcm", stored, BitsStored=16, HighBit=15, PixelPaddingValue=63536)
    there, instead = (b"\x28\x00\x20\x01" + kind + b"\x02\x00\x30\xf8" for kind in (b"US", b"SS"))
    assert there in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(there, instead))
    see(path, frontal, surround, "PixelPaddingValue")


def test_the_padding_value_inside_the_chest_is_a_measurement(
    tmp_path: Path, frontal: np.ndarray, surround: np.ndarray
) -> None:
    stored = np.rint(frontal * 4000)
    stored[surround] = 4095
    stored[120:140, 120:140] = 4095  # a pacemaker
    gray = read_radiograph(write_dicom(tmp_path / "a.dcm", stored, PixelPaddingValue=4095), 256).gray
    assert gray[125:135, 125:135].min() == 1
    assert gray[surround].max() == 0


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_rectangular_shutter(tmp_path: Path, frontal: np.ndarray, surround: np.ndarray, photometric: str) -> None:
    stored = np.rint(frontal * 4000)
    stored[surround] = 4095
    edges = {"LeftVertical": 21, "RightVertical": 236, "UpperHorizontal": 17, "LowerHorizontal": 256}
    tags = {f"Shutter{name}Edge": place for name, place in edges.items()}
    tags |= {"ShutterShape": "RECTANGULAR", "PhotometricInterpretation": photometric}
    stored = 4095 - stored if photometric == "MONOCHROME1" else stored
    see(write_dicom(tmp_path / "a.dcm", stored, **tags), frontal, surround, "ShutterShape RECTANGULAR")


def test_round_and_many_sided_shutters_and_two_at_once(tmp_path: Path, frontal: np.ndarray) -> None:
    row, column = np.mgrid[1:257, 1:257]
    outside = (row - 128) ** 2 + (column - 120) ** 2 > 110**2
    stored = np.where(outside, 4095, np.rint(frontal * 4000))
    circle = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [128, 120], "RadiusOfCircularShutter": 110}
    see(write_dicom(tmp_path / "a.dcm", stored, **circle), frontal, outside, "CIRCULAR")
    corners = [10, 128, 128, 10, 250, 128, 128, 250]  # row, column
    beyond = np.abs(row - 130) + np.abs(column - 130) > 126
    both = {**circle, "ShutterShape": ["CIRCULAR", "POLYGONAL"], "VerticesOfThePolygonalShutter": corners}
    read = read_radiograph(write_dicom(tmp_path / "b.dcm", np.where(outside | beyond, 4095, stored), **both), 256)
    assert read.gray[outside].max() == 0
    assert read.gray[beyond].max() == 0
    inside = ~outside & (np.abs(row - 130) + np.abs(column - 130) < 115)
    assert alike(read.gray[inside], frontal[inside]) > 0.99


@pytest.mark.parametrize(
    "tags",
    [
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [128, 128], "RadiusOfCircularShutter": 2},
        {"ShutterShape": "CIRCULAR"},
        {"ShutterShape": "BITMAP"},
        {
            "ShutterShape": "RECTANGULAR",
            "ShutterLeftVerticalEdge": 200,
            "ShutterRightVerticalEdge": 20,
            "ShutterUpperHorizontalEdge": 1,
            "ShutterLowerHorizontalEdge": 256,
        },
    ],
)
def test_a_shutter_that_makes_no_sense_hides_nothing(
    tmp_path: Path, frontal: np.ndarray, tags: dict[str, object]
) -> None:
    read = read_radiograph(write_dicom(tmp_path / "a.dcm", np.rint(frontal * 4095), **tags), 256)
    assert alike(read.gray, frontal) > 0.999
    assert len(tags) == 1 or any("ignored" in note for note in read.notes)


def test_nothing_but_padding(tmp_path: Path, frontal: np.ndarray) -> None:
    from xray2xray.core.errors import InputError

    with pytest.raises(InputError, match="one constant grey value"):
        read_radiograph(write_dicom(tmp_path / "a.dcm", np.full((256, 256), 9), PixelPaddingValue=9))
