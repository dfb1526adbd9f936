"""What DICOM radiographs say beside their pixels: kind, view, spacing; and one message for each thing that is wrong."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from xray2xray.core.errors import InputError
from xray2xray.radiograph import read_radiograph

from .films import alike, colour, item, write_dicom


@pytest.fixture
def stored(frontal: np.ndarray) -> np.ndarray:
    return np.rint(frontal * 4095)


def left_lateral() -> list[object]:
    return [item(CodeValue="399173006", CodingSchemeDesignator="SCT", CodeMeaning="left lateral")]


# ------------------------------------------------ view


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"ViewCodeSequence": left_lateral()}, r"a lateral view \(ViewCodeSequence left lateral\)"),
        ({"ViewPosition": "LLAT"}, r"a lateral view \(ViewPosition LLAT\)"),
        ({"ViewPosition": "RAO"}, r"an oblique view \(ViewPosition RAO\)"),
        ({"ViewPosition": "LLD"}, r"a decubitus view.*ViewPosition LLD"),
        ({"ViewPosition": "AP AXIAL"}, r"no plain frontal \(ViewPosition AP AXIAL\)"),
        ({"SeriesDescription": "Thorax seitlich"}, "a lateral view"),
        ({"PatientOrientation": ["LP", "F"]}, "an oblique view"),
        ({"ViewPosition": "PA", "PatientOrientation": ["A", "F"]}, "--view pa or ap if it is a frontal"),
    ],
)
def test_other_views_are_refused_with_what_says_so(
    tmp_path: Path, stored: np.ndarray, tags: dict[str, object], says: str
) -> None:
    path = write_dicom(tmp_path / "a.dcm", stored, **tags)
    with pytest.raises(InputError, match=says) as caught:
        read_radiograph(path)
    assert "Secret" not in str(caught.value)
    assert read_radiograph(path, lateral=True).gray.shape == (128, 128)


def test_the_user_decides_where_the_header_contradicts_itself_and_nowhere_else(
    tmp_path: Path, stored: np.ndarray
) -> None:
    mixed = write_dicom(tmp_path / "a.dcm", stored, ViewPosition="PA", SeriesDescription="CHEST LATERAL")
    read = read_radiograph(mixed, ap=False)
    assert read.view == "PA"
    assert any("names different views" in note for note in read.notes)
    with pytest.raises(InputError, match="a lateral view"):
        read_radiograph(write_dicom(tmp_path / "b.dcm", stored, ViewPosition="LL"), ap=False)


@pytest.mark.parametrize(
    ("tags", "view", "ap"),
    [
        ({"ViewPosition": "AP SUPINE"}, "AP", True),
        ({"ViewPosition": "", "ViewCodeSequence": [item(CodeValue="R-10206", CodeMeaning="")]}, "AP", True),
        ({"ProtocolName": "Chest p.a."}, "PA", False),
        ({}, "", False),
    ],
)
def test_frontals(tmp_path: Path, stored: np.ndarray, tags: dict[str, object], view: str, ap: bool) -> None:
    read = read_radiograph(write_dicom(tmp_path / "a.dcm", stored, **tags))
    assert (read.view, read.ap) == (view, ap)


def test_an_unknown_view_is_said(tmp_path: Path, stored: np.ndarray) -> None:
    read = read_radiograph(write_dicom(tmp_path / "a.dcm", stored, ViewPosition="XYZ"))
    assert read.view == ""
    assert read.notes == ["ViewPosition 'XYZ' is not known: taken for a frontal"]


def test_what_the_user_says_holds_against_the_header(tmp_path: Path, stored: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", stored, ViewPosition="AP")
    read = read_radiograph(path, ap=False)
    assert not read.ap
    assert read.notes == ["called PA, but the DICOM header says AP"]


# ------------------------------------------------ shape of the pixels


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelSpacing": [0.4, 0.2]},
        {"ImagerPixelSpacing": [0.4, 0.2]},
        {"NominalScannedPixelSpacing": [0.4, 0.2]},
        {"PixelAspectRatio": ["2", "1"]},
        {"PixelSpacing": [0, 0], "PixelAspectRatio": ["2", "1"]},
    ],
)
def test_pixels_that_are_not_square(tmp_path: Path, frontal: np.ndarray, tags: dict[str, object]) -> None:
    flat = np.asarray(Image.fromarray(frontal).resize((256, 128), Image.Resampling.BOX))
    read = read_radiograph(write_dicom(tmp_path / "a.dcm", np.rint(flat * 4095), **tags), 256)
    assert alike(read.gray, frontal) > 0.98
    assert read.notes == ["pixels are 2 times as high as wide: made square"]


def test_wide_pixels_of_a_film_on_its_side(tmp_path: Path, frontal: np.ndarray) -> None:
    turned = np.asarray(Image.fromarray(frontal).resize((256, 128), Image.Resampling.BOX)).T
    tags = {"PixelSpacing": [0.2, 0.4], "PatientOrientation": ["F", "L"]}
    read = read_radiograph(write_dicom(tmp_path / "a.dcm", np.rint(turned * 4095), **tags), 256)
    assert alike(read.gray, frontal) > 0.98
    tags["ShutterShape"], tags["CenterOfCircularShutter"], tags["RadiusOfCircularShutter"] = "CIRCULAR", [128, 64], 100
    read = read_radiograph(write_dicom(tmp_path / "b.dcm", np.rint(turned * 4095), **tags), 256)
    row, column = np.mgrid[1:257, 1:257]
    assert read.gray[(row - 128) ** 2 / 200**2 + (column - 128) ** 2 / 100**2 > 1.1].max() == 0


def test_two_films_in_one_image(tmp_path: Path, stored: np.ndarray) -> None:
    with pytest.raises(InputError, match="two films side by side"):
        read_radiograph(write_dicom(tmp_path / "a.dcm", np.hstack([stored, stored])))


# ------------------------------------------------ one message for one cause


@pytest.mark.parametrize(
    ("tags", "without", "says"),
    [
        ({}, ["Rows"], "Rows is missing"),
        ({}, ["BitsAllocated"], "BitsAllocated is missing"),
        ({}, ["PixelData"], "no PixelData"),
        ({}, ["Modality", "SOPClassUID"], "Modality is missing"),
        ({"Modality": "MG"}, [], "Modality MG: not a radiograph"),
        ({"Modality": "CT"}, [], "whole series"),
        ({"NumberOfFrames": 2, "Rows": 128}, [], "NumberOfFrames 2"),
        ({"PixelData": bytes(1000)}, [], "PixelData has 1000 of 131072 bytes"),
        ({"BitsAllocated": 12, "PixelData": bytes(98304)}, [], "BitsAllocated 12 is not read"),
        ({"Rows": 60000, "Columns": 60000}, [], "Rows 60000.*pixels are too many"),
    ],
)
def test_messages_name_tag_and_value(
    tmp_path: Path, stored: np.ndarray, tags: dict[str, object], without: list[str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read_radiograph(write_dicom(tmp_path / "a.dcm", stored, without, **tags))


@pytest.mark.parametrize(
    ("without", "says"),
    [
        (["PhotometricInterpretation"], "PhotometricInterpretation is missing: taken for MONOCHROME2"),
        (["PixelRepresentation"], "PixelRepresentation is missing"),
        (["SamplesPerPixel"], "SamplesPerPixel is missing"),
        (["Modality"], ""),
        (["BitsStored", "HighBit"], ""),
        (["HighBit"], ""),
    ],
)
def test_what_can_be_supplied_is(tmp_path: Path, stored: np.ndarray, without: list[str], says: str) -> None:
    read = read_radiograph(write_dicom(tmp_path / "a.dcm", stored, without), 256)
    assert alike(read.gray, stored) > 0.999
    assert [says in note for note in read.notes] == [True] * len(read.notes)
    assert bool(read.notes) == bool(says)


def test_a_photometric_interpretation_of_another_number_of_samples(tmp_path: Path, stored: np.ndarray) -> None:
    read = read_radiograph(write_dicom(tmp_path / "a.dcm", stored, PhotometricInterpretation="RGB"), 256)
    assert alike(read.gray, stored) > 0.999
    assert read.notes == ["PhotometricInterpretation RGB of 1 samples: taken for MONOCHROME2"]
    three = colour(PhotometricInterpretation="MONOCHROME2")
    path = write_dicom(tmp_path / "b.dcm", np.stack([stored // 16] * 3, -1), ["PlanarConfiguration"], **three)
    read = read_radiograph(path, 256)
    assert alike(read.gray, stored) > 0.999
    assert [note.split()[0] for note in read.notes] == ["PhotometricInterpretation", "PlanarConfiguration"]


def test_a_tag_that_cannot_be_read_is_left_out(tmp_path: Path, stored: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", stored, PixelPaddingValue=5, SmallestImagePixelValue=0)
    whole = path.read_bytes()
    there = b"\x28\x00\x20\x01US\x02\x00\x05\x00"
    assert there in whole
    path.write_bytes(whole.replace(there, b"\x28\x00\x20\x01FD\x02\x00\x05\x00"))
    read = read_radiograph(path, 256)
    assert alike(read.gray, stored) > 0.999
    assert read.notes == ["PixelPaddingValue cannot be read: ignored"]


@pytest.mark.parametrize("meta", [True, False])
def test_without_preamble(tmp_path: Path, stored: np.ndarray, meta: bool) -> None:
    whole = write_dicom(tmp_path / "a.dcm", stored).read_bytes()
    (tmp_path / "b.dcm").write_bytes(whole[132 if meta else whole.index(b"\x08\x00\x16\x00") :])
    assert alike(read_radiograph(tmp_path / "b.dcm", 256).gray, stored) > 0.999


def test_damaged_compressed_pixels(tmp_path: Path, stored: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", stored)
    image = pydicom.dcmread(path)
    image.compress(pydicom.uid.RLELossless)
    image.save_as(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3000])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_radiograph(path)
    path.write_bytes(whole.replace(whole[-3000:-1000], bytes(2000)))
    with pytest.raises(InputError, match="RLE Lossless"):
        read_radiograph(path)


def test_other_parts_of_the_body_and_raw_values_are_said(tmp_path: Path, stored: np.ndarray) -> None:
    tags = {"BodyPartExamined": "HAND", "PresentationIntentType": "FOR PROCESSING"}
    notes = read_radiograph(write_dicom(tmp_path / "a.dcm", stored, **tags)).notes
    assert ["HAND" in note or "FOR PROCESSING" in note for note in notes] == [True, True]
    assert not read_radiograph(write_dicom(tmp_path / "b.dcm", stored, BodyPartExamined="CHEST")).notes
