"""PS3.3 C.11 on files: every way to store one chest gives that chest; what cannot be used is left out with a note."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from xray2xray.core.errors import InputError
from xray2xray.radiograph import read_radiograph

from .films import alike, colour, header, item, table, write_dicom


@pytest.fixture
def chest(frontal: np.ndarray) -> np.ndarray:
    """(256, 256) whole numbers of 12 bits, with texture."""
    y, x = np.mgrid[0:256, 0:256] / 40
    return np.rint((0.02 + 0.94 * frontal + 0.02 * np.sin(x) * np.sin(y)) * 4095)


def check(path: Path, chest: np.ndarray, *says: str, above: float = 0.99) -> None:
    read = read_radiograph(path, 256)
    assert alike(read.gray, chest) > above
    for words in says:
        assert any(words in note for note in read.notes), read.notes
    assert says or not read.notes


# ------------------------------------------------ windows and tables (C.11.1, C.11.2)


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"WindowCenter": 2048, "WindowWidth": 0}, "WindowWidth 0"),
        ({"WindowCenter": 2048, "WindowWidth": -4096}, "WindowWidth -4096"),
        ({"WindowCenter": 2048, "WindowWidth": 0.5}, "WindowWidth 0.5"),
        ({"WindowCenter": 2048, "WindowWidth": 0, "VOILUTFunction": "LINEAR_EXACT"}, "WindowWidth 0"),
        ({"WindowCenter": 2048, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"}, "beside"),
        ({"WindowCenter": -30000, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"}, "beside"),
        ({"WindowCenter": 2048}, "not both"),
        ({"WindowCenter": "", "WindowWidth": ""}, ""),
        ({"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": ""}, ""),
        ({"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LOG"}, "VOILUTFunction LOG"),
        ({"WindowCenter": [2048, 600], "WindowWidth": [4096, 100]}, ""),
        ({"WindowCenter": [2048, 2048], "WindowWidth": [0, 4096]}, "WindowWidth 0"),
        ({"WindowCenter": [2048, 600], "WindowWidth": 4096}, ""),
        ({"WindowCenter": 9000, "WindowWidth": 10}, "beside"),
        ({"VOILUTSequence": [table(range(100), bits=12, numbers=4096)]}, "100 of 4096"),
        ({"VOILUTSequence": [item(LUTDescriptor=[4096, 0, 12])]}, "VOILUTSequence"),
        ({"VOILUTSequence": []}, ""),
        ({"VOILUTSequence": [table([7] * 4096)]}, "nearly all"),
        ({"VOILUTSequence": [table(np.arange(4096) // 16, bits=8)]}, ""),
        ({"ModalityLUTSequence": [table(range(4096), first=0, bits=12)]}, ""),
        ({"RescaleSlope": "", "RescaleIntercept": ""}, ""),
        ({"RescaleSlope": 1}, ""),
        ({"RescaleSlope": 0, "RescaleIntercept": 7}, "RescaleSlope 0"),
    ],
)
def test_odd_windows_and_tables(tmp_path: Path, chest: np.ndarray, tags: dict[str, object], says: str) -> None:
    check(write_dicom(tmp_path / "a.dcm", chest, **tags), chest, *([says] if says else []), above=0.98)


def test_a_window_of_rescaled_values_is_not_turned_round_by_a_negative_slope(tmp_path: Path, chest: np.ndarray) -> None:
    tags = {"RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2048, "WindowWidth": 4096}
    check(write_dicom(tmp_path / "a.dcm", 4095 - chest, **tags), chest)
    tags |= {"RescaleIntercept": 0, "WindowCenter": -2048}
    check(write_dicom(tmp_path / "b.dcm", 4095 - chest, **tags), chest)
    tags |= {"PhotometricInterpretation": "MONOCHROME1"}
    check(write_dicom(tmp_path / "c.dcm", chest, **tags), chest, "MONOCHROME1")


def test_a_window_cuts_what_lies_beyond(tmp_path: Path, chest: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", chest, WindowCenter=1500, WindowWidth=1000)
    expected = (np.clip(chest, 1000, 2000) - 1000) / 1000
    np.testing.assert_allclose(read_radiograph(path, 256).gray, expected, atol=2e-3)


def test_decimal_commas_and_no_numbers(tmp_path: Path, chest: np.ndarray) -> None:
    path = write_dicom(tmp_path / "a.dcm", chest, WindowCenter="2047.5", WindowWidth="4095.0")
    path.write_bytes(path.read_bytes().replace(b"2047.5", b"2047,5"))
    check(path, chest, "WindowCenter '2047,5' has a decimal comma")
    path = write_dicom(tmp_path / "b.dcm", chest, RescaleSlope="1.0000", RescaleIntercept="0")
    path.write_bytes(path.read_bytes().replace(b"1.0000", b"-1.#IN"))
    check(path, chest, "RescaleSlope '-1.#IN' is no number")
    path = write_dicom(tmp_path / "c.dcm", chest, PixelSpacing=["0.20", "0.20"])
    path.write_bytes(path.read_bytes().replace(b"0.20\\0.20", b"0,20\\0,20"))
    check(path, chest, "PixelSpacing")


def test_a_table_of_signed_values_and_one_of_big_endian_words(tmp_path: Path, chest: np.ndarray) -> None:
    signed = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15}
    modality = table(np.arange(65536), first=0)
    modality.LUTDescriptor = [0, -32768, 16]
    check(write_dicom(tmp_path / "a.dcm", 8 * chest - 16000, ModalityLUTSequence=[modality], **signed), chest)
    voi = item(LUTDescriptor=[4096, 0, 12], LUTData=np.arange(4096).astype(">u2").tobytes())
    meta = header().file_meta
    meta.TransferSyntaxUID = ExplicitVRBigEndian
    image = header(VOILUTSequence=[voi])
    image.file_meta = meta
    image.Rows, image.Columns = chest.shape
    image.PixelData = chest.astype(">u2").tobytes()
    image["PixelData"].VR = "OW"
    pydicom.dcmwrite(tmp_path / "big.dcm", image)
    check(tmp_path / "big.dcm", chest)


# ------------------------------------------------ polarity (C.7.6.3.1.2, C.11.4)


@pytest.mark.parametrize(
    ("photometric", "shape", "says"),
    [
        ("MONOCHROME1", "INVERSE", "MONOCHROME1: inverted"),
        ("MONOCHROME2", "IDENTITY", ""),
        ("MONOCHROME1", "IDENTITY", "contradicts"),
        ("MONOCHROME2", "INVERSE", "contradicts"),
    ],
)
@pytest.mark.parametrize("stored", ["upright", "negative"])
def test_inverted_once(tmp_path: Path, chest: np.ndarray, photometric: str, shape: str, says: str, stored: str) -> None:
    if not says or "inverted" in says:  # the header is sure, so the pixels must be as it says
        stored = "negative" if photometric == "MONOCHROME1" else "upright"
    tags = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
    tags |= {"WindowCenter": 2048, "WindowWidth": 4096}
    pixels = 4095 - chest if stored == "negative" else chest
    check(write_dicom(tmp_path / "a.dcm", pixels, **tags), chest, *([says] if says else []))


# ------------------------------------------------ bits


def test_overlay_bits_are_no_values(tmp_path: Path, chest: np.ndarray) -> None:
    overlay = np.zeros(chest.shape, np.int64)
    overlay[40:60, 30:200:3] = 1  # letters
    for bit in (12, 15):
        path = write_dicom(tmp_path / f"{bit}.dcm", chest + (overlay << bit))
        check(path, chest, "above the 12")


def test_bits_above_a_shifted_value(tmp_path: Path, chest: np.ndarray) -> None:
    overlay = np.random.default_rng(0).integers(0, 16, chest.shape)
    check(write_dicom(tmp_path / "a.dcm", chest * 16 + overlay, HighBit=15), chest)


def test_too_few_bits_in_the_header_do_not_fold_the_picture(tmp_path: Path, chest: np.ndarray) -> None:
    check(write_dicom(tmp_path / "a.dcm", 4 * chest), chest, "need more than the 12 bits")
    check(write_dicom(tmp_path / "b.dcm", chest, BitsStored=10, HighBit=9), chest, "need more than the 10 bits")


def test_signed_values_of_twelve_bits(tmp_path: Path, chest: np.ndarray) -> None:
    signed = (chest - 2048).astype(np.int64) & 0xFFF  # negative numbers without the four bits above
    check(write_dicom(tmp_path / "a.dcm", signed, PixelRepresentation=1), chest)
    check(write_dicom(tmp_path / "b.dcm", chest - 2048, PixelRepresentation=1), chest)


# ------------------------------------------------ palettes and colour (C.7.6.3.1)


def palette_tags(entries: np.ndarray, kind: str = "u1", first: int = 0) -> dict[str, object]:
    bits = 8 * np.dtype(kind).itemsize
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR", "Modality": "SC"}
    for name in ("Red", "Green", "Blue"):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries) % 65536, first, bits]
        tags[f"{name}PaletteColorLookupTableData"] = np.asarray(entries).astype(kind).tobytes()
    return tags


@pytest.mark.parametrize("kind", ["shuffled", "inverse", "from 100", "16-bit entries", "12-bit indices"])
def test_palettes(tmp_path: Path, chest: np.ndarray, kind: str) -> None:
    gray = np.rint(chest / 16).clip(0, 255).astype(int)
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    if kind == "12-bit indices":
        order = np.random.default_rng(0).permutation(4096)
        path = write_dicom(tmp_path / "a.dcm", np.argsort(order)[chest.astype(int)], **palette_tags(order // 16))
    else:
        order = np.arange(255, -1, -1) if kind == "inverse" else np.random.default_rng(0).permutation(256)
        index, entries, first = np.argsort(order)[gray], order, 0
        if kind == "from 100":
            index, first, bits = index + 100, 100, {}
        tags = palette_tags(257 * entries, "u2") if kind == "16-bit entries" else palette_tags(entries, first=first)
        path = write_dicom(tmp_path / "a.dcm", index, **tags, **bits)
    check(path, chest)


def test_a_segmented_palette(tmp_path: Path, chest: np.ndarray) -> None:
    gray = np.rint(chest / 16).clip(0, 255)
    segments = np.array([0, 1, 255, 1, 255, 0], np.uint8).tobytes()  # one value of 255, then a straight line to 0
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR", "Modality": "SC"}
    for name in ("Red", "Green", "Blue"):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        tags[f"Segmented{name}PaletteColorLookupTableData"] = segments
    path = write_dicom(tmp_path / "a.dcm", 255 - gray, BitsAllocated=8, BitsStored=8, HighBit=7, **tags)
    check(path, chest)


def test_palettes_that_are_coloured_or_not_there(tmp_path: Path, chest: np.ndarray) -> None:
    gray = np.rint(chest / 16).clip(0, 255)
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    heat = palette_tags(np.arange(256)) | {"BluePaletteColorLookupTableData": bytes(range(255, -1, -1))}
    with pytest.raises(InputError, match="real colour"):
        read_radiograph(write_dicom(tmp_path / "a.dcm", gray, **heat, **bits))
    bare = {"PhotometricInterpretation": "PALETTE COLOR", "Modality": "SC"}
    with pytest.raises(InputError, match="PALETTE COLOR without whole tables"):
        read_radiograph(write_dicom(tmp_path / "b.dcm", gray, **bare, **bits))
    short = palette_tags(np.arange(256)) | {"RedPaletteColorLookupTableData": bytes(10)}
    with pytest.raises(InputError, match=r"PALETTE COLOR.*10 of 256 entries"):
        read_radiograph(write_dicom(tmp_path / "c.dcm", gray, **short, **bits))


def test_grey_in_ybr_is_turned_once(tmp_path: Path, chest: np.ndarray) -> None:
    gray = np.rint(chest / 16).clip(0, 255).astype(np.uint8)
    neutral = np.full_like(gray, 128)
    ybr = np.stack([gray, neutral, neutral], -1)
    check(write_dicom(tmp_path / "full.dcm", ybr, **colour(PhotometricInterpretation="YBR_FULL")), chest)
    plane = np.ascontiguousarray(ybr.transpose(2, 0, 1)).tobytes()
    tags = colour(PhotometricInterpretation="YBR_FULL", PlanarConfiguration=1, PixelData=plane)
    check(write_dicom(tmp_path / "planes.dcm", ybr, **tags), chest)
    pairs = np.concatenate([gray.reshape(256, 128, 2), neutral.reshape(256, 128, 2)], -1).tobytes()
    tags = colour(PhotometricInterpretation="YBR_FULL_422", PixelData=pairs)
    check(write_dicom(tmp_path / "422.dcm", ybr, **tags), chest)
    red = np.stack([gray, neutral, np.full_like(gray, 220)], -1)
    with pytest.raises(InputError, match="real colour"):
        read_radiograph(write_dicom(tmp_path / "red.dcm", red, **colour(PhotometricInterpretation="YBR_FULL")))


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
def test_jpeg_in_dicom(tmp_path: Path, chest: np.ndarray, photometric: str) -> None:
    gray = np.rint(chest / 16).clip(0, 255).astype(np.uint8)
    packed = io.BytesIO()
    Image.fromarray(np.stack([gray] * 3, -1)).save(packed, "JPEG", quality=95, keep_rgb=photometric == "RGB")
    check(_encapsulated(tmp_path, JPEGBaseline8Bit, packed.getvalue(), photometric), chest)


def test_jpeg_2000_and_run_lengths(tmp_path: Path, chest: np.ndarray) -> None:
    gray = np.rint(chest / 16).clip(0, 255).astype(np.uint8)
    packed = io.BytesIO()
    Image.fromarray(np.stack([gray] * 3, -1)).save(packed, "JPEG2000", mct=1, irreversible=False, no_jp2=True)
    check(_encapsulated(tmp_path, JPEG2000Lossless, packed.getvalue(), "YBR_RCT"), chest)
    path = write_dicom(tmp_path / "rle.dcm", chest)
    image = pydicom.dcmread(path)
    image.compress(RLELossless)
    image.save_as(path)
    check(path, chest)


def _encapsulated(folder: Path, syntax: str, data: bytes, photometric: str) -> Path:
    image = header(**colour(PhotometricInterpretation=photometric))
    image.Rows, image.Columns = 256, 256
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = pydicom.encaps.encapsulate([data])
    image["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(folder / "packed.dcm", image)
    return folder / "packed.dcm"
