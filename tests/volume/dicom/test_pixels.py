"""Stored values to HU: bits, padding, rescale, look-up tables; and what is no measurement is no tissue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless

from xray2xray.core.errors import InputError
from xray2xray.volume import read_dicom_series

Change = Callable[[Any], Any]
ROWS, COLUMNS = 12, 16
HU = np.add.outer(100.0 * np.arange(ROWS), np.arange(COLUMNS)) - 1000  # no two alike; -1000 in a corner


def read_hu(folder: Path, scanner: Any, change: Change | None = None, hu: np.ndarray = HU, **tags: Any) -> np.ndarray:
    """(rows, columns) HU of the first of three equal slices that `change` has altered."""
    for k in range(3):
        image = scanner.image(hu, np.array([0, 0, 5.0 * k]), "1.2.3", **{"RescaleSlope": 1, **tags})
        if change is not None:
            change(image)
        pydicom.dcmwrite(folder / f"{k}.dcm", image, enforce_file_format=False)
    volume = read_dicom_series(folder)
    return volume.hu[::-1, ::-1, 0].T


def stored(image: Any) -> np.ndarray:
    return np.frombuffer(image.PixelData, np.uint16).reshape(image.Rows, image.Columns).astype(np.int64)


def put(image: Any, values: np.ndarray, bits: int = 16, signed: bool = False) -> None:
    image.BitsStored, image.HighBit, image.PixelRepresentation = bits, bits - 1, int(signed)
    image.PixelData = values.astype(np.int16 if signed else np.uint16).tobytes()


# ---------------------------------------------------------------- padding

RING = np.ones((ROWS, COLUMNS), bool)
RING[2:-2, 2:-2] = False


@pytest.mark.parametrize(
    ("value", "signed", "bits"),
    [(-2000, True, 16), (63536, False, 16), (65535, False, 16), (63536, False, 12), (-32768, True, 16), (0, False, 16)],
)
@pytest.mark.parametrize("vr", ["US", "SS"])
def test_padding_is_air(tmp_path: Path, scanner: Any, value: int, signed: bool, bits: int, vr: str) -> None:
    """Also where the tag was written with the other sign, and where it lies above BitsStored."""

    def pad(image: Any) -> None:
        put(image, np.where(RING, value, stored(image)), bits, signed)
        image.add_new(0x00280120, vr, value % 65536 if vr == "US" else (value + 32768) % 65536 - 32768)

    hu = read_hu(tmp_path, scanner, pad)
    assert (hu[RING] <= -1000).all()
    np.testing.assert_array_equal(hu[~RING], HU[~RING])


@pytest.mark.parametrize(("value", "limit"), [(-3024, -2000), (-2000, -3024)])
def test_a_range_of_padding_is_air(tmp_path: Path, scanner: Any, value: int, limit: int) -> None:
    def pad(image: Any) -> None:
        values = np.where(RING, np.linspace(-3024, -2000, COLUMNS).astype(int), stored(image) - 1024)
        put(image, values, signed=True)
        image.RescaleIntercept = 0
        image.add_new(0x00280120, "SS", value)
        image.add_new(0x00280121, "SS", limit)

    hu = read_hu(tmp_path, scanner, pad)
    assert (hu[RING] == -1024).all()
    np.testing.assert_array_equal(hu[~RING], HU[~RING])


def test_padding_of_water_inside_the_body_is_water(tmp_path: Path, scanner: Any) -> None:
    """A converter declared 0 HU as padding: around the circle that is air, in the middle of a patient it is tissue."""
    inside = np.where(RING, 0.0, HU)
    inside[5:7, 5:9] = 0.0

    def pad(image: Any) -> None:
        image.add_new(0x00280120, "US", 1024)

    hu = read_hu(tmp_path, scanner, pad, hu=inside)
    assert (hu[RING] == -1024).all()
    np.testing.assert_array_equal(hu[~RING], inside[~RING])


# ---------------------------------------------------------------- bits


def overlaid(image: Any) -> None:
    """A text of some pixels in bit 15, as old scanners burnt their overlays in."""
    values = np.clip(stored(image), 0, 4095)
    values[3, 2:6] |= 0x8000
    put(image, values, bits=12)


@pytest.mark.parametrize("syntax", ["plain", "rle", "deflated", "big endian"])
def test_overlay_bits_are_no_hu(tmp_path: Path, scanner: Any, syntax: str) -> None:
    def change(image: Any) -> None:
        overlaid(image)
        if syntax == "rle":
            image.compress(RLELossless)
        if syntax == "deflated":
            image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        if syntax == "big endian":
            image.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            image.PixelData = np.frombuffer(image.PixelData, np.uint16).byteswap().tobytes()
            image["PixelData"].VR = "OW"

    np.testing.assert_array_equal(read_hu(tmp_path, scanner, change), HU)


def test_values_that_do_not_fit_their_bits_are_refused(tmp_path: Path, scanner: Any) -> None:
    """BitsStored is wrong, not an overlay: masking would turn metal into lung."""

    def change(image: Any) -> None:
        image.BitsStored, image.HighBit = 10, 9

    with pytest.raises(InputError, match="do not fit into BitsStored 10"):
        read_hu(tmp_path, scanner, change)


@pytest.mark.parametrize("extended", [True, False])
def test_twelve_signed_bits_with_and_without_their_sign_extended(tmp_path: Path, scanner: Any, extended: bool) -> None:
    def change(image: Any) -> None:
        values = stored(image) - 1024
        put(image, values if extended else values & 0x0FFF, bits=12, signed=extended)
        image.PixelRepresentation, image.RescaleIntercept = 1, 0

    np.testing.assert_array_equal(read_hu(tmp_path, scanner, change), HU)


def test_values_in_the_upper_bits(tmp_path: Path, scanner: Any) -> None:
    def change(image: Any) -> None:
        put(image, stored(image) << 4, bits=16)
        image.BitsStored, image.HighBit = 12, 15

    np.testing.assert_array_equal(read_hu(tmp_path, scanner, change), HU)


def test_signed_jpeg_2000(tmp_path: Path, scanner: Any) -> None:
    if not pydicom.pixels.get_encoder(JPEG2000Lossless).is_available:
        pytest.skip("pylibjpeg and pylibjpeg-openjpeg (dicom extra) write JPEG 2000")

    def change(image: Any) -> None:
        put(image, stored(image) - 1024, signed=True)
        image.RescaleIntercept = 0
        image.compress(JPEG2000Lossless)

    np.testing.assert_array_equal(read_hu(tmp_path, scanner, change), HU)


def test_packed_pixels_are_not_called_damaged(tmp_path: Path, scanner: Any) -> None:
    def change(image: Any) -> None:
        image.BitsAllocated, image.BitsStored, image.HighBit = 12, 12, 11

    with pytest.raises(InputError, match="BitsAllocated is 12"):
        read_hu(tmp_path, scanner, change)


# ---------------------------------------------------------------- rescale


@pytest.mark.parametrize(
    ("slope", "intercept", "says"),
    [
        ("", "", "RescaleSlope is empty"),
        ("", "-1024", "RescaleSlope is empty"),
        ("1", "", "RescaleIntercept is empty"),
        (["1", "2"], "-1024", "RescaleSlope has 2 values"),
        ("0", "-1024", "gives no HU"),
        ("NaN", "-1024", "gives no HU"),
        ("one", "-1024", "RescaleSlope is 'one', no number"),
    ],
)
def test_a_rescale_that_is_none_is_refused_by_its_name(
    tmp_path: Path, scanner: Any, slope: Any, intercept: Any, says: str
) -> None:
    def change(image: Any) -> None:
        with pydicom.config.disable_value_validation():
            for tag, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
                image[tag] = pydicom.DataElement(tag, "LO", value)  # DS would refuse to hold some of them

    with pytest.raises(InputError, match=says):
        read_hu(tmp_path, scanner, change)


@pytest.mark.parametrize(("slope", "intercept"), [(["1", "1"], ["-1024", "-1024"]), ("1,0", "-1024,0")])
def test_doubled_values_and_decimal_commas(tmp_path: Path, scanner: Any, slope: Any, intercept: Any) -> None:
    def change(image: Any) -> None:
        for tag, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
            image[tag] = pydicom.DataElement(tag, "LO", value)

    np.testing.assert_array_equal(read_hu(tmp_path, scanner, change), HU)


def test_a_decimal_comma_in_the_pixel_size(tmp_path: Path, scanner: Any) -> None:
    def change(image: Any) -> None:
        image["PixelSpacing"] = pydicom.DataElement("PixelSpacing", "LO", ["4,50", "4,50"])

    read_hu(tmp_path, scanner, change)
    np.testing.assert_allclose(read_dicom_series(tmp_path).spacing_mm[:2], 4.5)


@pytest.mark.parametrize("units", ["HU", None, "OD"])
def test_a_look_up_table_instead_of_a_rescale(tmp_path: Path, scanner: Any, units: str | None) -> None:
    def change(image: Any) -> None:
        del image.RescaleSlope, image.RescaleIntercept
        table = Dataset()
        table.LUTDescriptor = [4096, 0, 16]
        table.LUTData = (np.arange(4096) - 1024).astype(np.int16).tobytes()
        if units is not None:
            table.ModalityLUTType = units
        image.ModalityLUTSequence = [table]

    if units == "OD":
        with pytest.raises(InputError, match="gives OD, not HU"):
            read_hu(tmp_path, scanner, change)
    else:
        np.testing.assert_array_equal(read_hu(tmp_path, scanner, change), HU)
