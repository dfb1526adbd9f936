from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from xray2xray.core.errors import InputError
from xray2xray.radiograph import read_radiograph
from xray2xray.radiograph.picture import resized_square


def _reduced(gray: np.ndarray, size: int = 128) -> np.ndarray:
    """2 x 2 block means of a (256, 256) image, scaled to 0..1: what reading should give."""
    small = gray.reshape(size, 2, size, 2).mean((1, 3))
    return (small - small.min()) / (small.max() - small.min())


def _dicom(path: Path, stored: np.ndarray, **extra: object) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.PatientName, image.Modality = "Secret^Person", "DX"
    image.Rows, image.Columns = stored.shape[:2]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    for name, value in extra.items():
        setattr(image, name, value)
    image.PixelData = stored.astype(np.uint16 if image.BitsAllocated == 16 else np.uint8).tobytes()
    pydicom.dcmwrite(path, image)
    return path


@pytest.mark.parametrize("kind", ["png8", "png16", "png_rgb", "png_rgba", "png_palette", "png_la", "jpeg", "jpeg_rgb"])
def test_every_picture_format_gives_the_same_chest(tmp_path: Path, frontal: np.ndarray, kind: str) -> None:
    gray8 = np.rint(frontal * 255).astype(np.uint8)
    image = Image.fromarray(gray8)
    path = tmp_path / ("a.jpg" if kind.startswith("jpeg") else "a.png")
    if kind == "png16":
        image = Image.fromarray(np.rint(frontal * 65535).astype(np.uint16))
    elif kind.endswith("rgb"):
        image = image.convert("RGB")
    elif kind != "png8" and kind != "jpeg":
        image = image.convert({"png_rgba": "RGBA", "png_palette": "P", "png_la": "LA"}[kind])
    image.save(path)
    radiograph = read_radiograph(path)
    assert radiograph.gray.shape == (128, 128)
    assert radiograph.gray.dtype == np.float32
    assert radiograph.gray.min() == 0
    assert radiograph.gray.max() == 1
    assert radiograph.uncalibrated
    assert not radiograph.ap
    assert radiograph.notes == []
    assert radiograph.source == path.name
    assert np.abs(radiograph.gray - _reduced(frontal)).mean() < 0.01


def test_twelve_bits_in_a_sixteen_bit_png(tmp_path: Path, frontal: np.ndarray) -> None:
    Image.fromarray(np.rint(frontal * 4095).astype(np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_radiograph(tmp_path / "a.png").gray, _reduced(frontal), atol=1e-3)


def test_bright_air_is_inverted_with_a_note(tmp_path: Path, frontal: np.ndarray) -> None:
    Image.fromarray(np.rint(255 - frontal * 255).astype(np.uint8)).save(tmp_path / "a.png")
    radiograph = read_radiograph(tmp_path / "a.png", ap=True)
    np.testing.assert_allclose(radiograph.gray, _reduced(frontal), atol=0.01)
    assert radiograph.ap
    assert any("inverted" in note for note in radiograph.notes)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_longer_side_is_cropped_about_its_middle(tmp_path: Path, frontal: np.ndarray, axis: int) -> None:
    pad = [(0, 0), (0, 0)]
    pad[axis] = (40, 40)
    Image.fromarray(np.rint(np.pad(frontal, pad) * 255).astype(np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_radiograph(tmp_path / "a.png").gray, _reduced(frontal), atol=0.01)


def test_exif_rotation_is_followed(tmp_path: Path, frontal: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise
    turned = np.rot90(np.rint(frontal * 255).astype(np.uint8))
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert np.abs(read_radiograph(tmp_path / "a.jpg").gray - _reduced(frontal)).mean() < 0.01


def test_area_averaging_keeps_the_mean_and_small_images_grow() -> None:
    noise = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    assert resized_square(noise, 128).mean() == pytest.approx(noise.mean(), abs=1e-3)
    assert resized_square(noise[:64, :64], 128).shape == (128, 128)


def test_dicom_monochrome_1_and_2_are_the_same_chest(tmp_path: Path, frontal: np.ndarray) -> None:
    stored = np.rint(frontal * 4095)
    two = read_radiograph(_dicom(tmp_path / "two.dcm", stored))
    one = read_radiograph(_dicom(tmp_path / "one", 4095 - stored, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(two.gray, _reduced(frontal), atol=1e-3)
    np.testing.assert_allclose(one.gray, two.gray, atol=1e-6)
    assert two.notes == []
    assert any("MONOCHROME1" in note for note in one.notes)


def test_dicom_window_is_applied(tmp_path: Path, frontal: np.ndarray) -> None:
    stored = np.rint(frontal * 1000) + 500
    path = _dicom(tmp_path / "a.dcm", stored, WindowCenter=700, WindowWidth=400, RescaleSlope=1, RescaleIntercept=-500)
    gray = read_radiograph(path).gray
    bright = _reduced(frontal) > 0.95
    assert (gray[bright] == 1).all()
    assert (gray == 0).mean() < 0.5
    beside = _dicom(tmp_path / "b.dcm", stored, WindowCenter=9000, WindowWidth=10)
    np.testing.assert_allclose(read_radiograph(beside).gray, _reduced(frontal), atol=2e-3)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (["L", "F"], lambda g: g),
        (["R", "F"], lambda g: g[:, ::-1]),
        (["L", "H"], lambda g: g[::-1]),
        (["F", "L"], lambda g: g.T),
        (["H", "R"], lambda g: g[::-1, ::-1].T),
    ],
)
def test_dicom_is_turned_upright(tmp_path: Path, frontal: np.ndarray, orientation: list[str], turn: object) -> None:
    assert callable(turn)
    stored = np.ascontiguousarray(turn(np.rint(frontal * 4095)))
    path = _dicom(tmp_path / "a.dcm", stored, PatientOrientation=orientation)
    radiograph = read_radiograph(path)
    np.testing.assert_allclose(radiograph.gray, _reduced(frontal), atol=1e-3)
    assert (radiograph.notes == []) == (orientation == ["L", "F"])


def test_dicom_says_ap(tmp_path: Path, frontal: np.ndarray) -> None:
    stored = np.rint(frontal * 4095)
    assert read_radiograph(_dicom(tmp_path / "ap.dcm", stored, ViewPosition="AP")).ap
    pa = read_radiograph(_dicom(tmp_path / "pa.dcm", stored, ViewPosition="PA"), ap=True)
    assert pa.ap
    assert any("PA" in note for note in pa.notes)


def test_dicom_that_looks_inverted_is_left_and_noted(tmp_path: Path, frontal: np.ndarray) -> None:
    radiograph = read_radiograph(_dicom(tmp_path / "a.dcm", 4095 - np.rint(frontal * 4095)))
    np.testing.assert_allclose(radiograph.gray, 1 - _reduced(frontal), atol=1e-3)
    assert any("left as it is" in note for note in radiograph.notes)


def test_dicom_in_colour_channels(tmp_path: Path, frontal: np.ndarray) -> None:
    gray = np.rint(frontal * 255)
    rgb = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    rgb |= {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "Modality": "SC"}
    equal = _dicom(tmp_path / "a.dcm", np.stack([gray] * 3, -1), **rgb)
    np.testing.assert_allclose(read_radiograph(equal).gray, _reduced(frontal), atol=0.01)
    real = _dicom(tmp_path / "b.dcm", np.stack([gray, gray[::-1], gray], -1), **rgb)
    with pytest.raises(InputError, match="real colour"):
        read_radiograph(real)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"Modality": "CT"}, "whole series"),
        ({"Modality": "MG"}, "not a radiograph"),
        ({"NumberOfFrames": 2, "Rows": 128}, "several frames"),
        ({"ViewPosition": "LL"}, "lateral"),
        ({"PatientOrientation": ["A", "F"]}, "lateral"),
    ],
)
def test_dicom_of_another_kind_is_refused(
    tmp_path: Path, frontal: np.ndarray, extra: dict[str, object], says: str
) -> None:
    path = _dicom(tmp_path / "a.dcm", np.rint(frontal * 4095), **extra)
    with pytest.raises(InputError, match=says) as caught:
        read_radiograph(path)
    assert "Secret" not in str(caught.value)


def test_a_lateral_is_read_where_it_is_asked_for(tmp_path: Path, frontal: np.ndarray) -> None:
    path = _dicom(tmp_path / "a.dcm", np.rint(frontal * 4095), ViewPosition="LL")
    np.testing.assert_allclose(read_radiograph(path, lateral=True).gray, _reduced(frontal), atol=2e-3)


def test_damaged_dicom(tmp_path: Path, frontal: np.ndarray) -> None:
    path = _dicom(tmp_path / "a.dcm", np.rint(frontal * 4095), SOPClassUID=ComputedRadiographyImageStorage)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_radiograph(path)


def test_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("this is no picture")
    with pytest.raises(InputError, match=r"a\.png: not an image"):
        read_radiograph(tmp_path / "a.png")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="not an image"):
        read_radiograph(tmp_path / "empty.jpg")
    with pytest.raises(InputError, match="no such file"):
        read_radiograph(tmp_path / "missing.png")
    with pytest.raises(InputError, match="no such file"):
        read_radiograph(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_cut_image(tmp_path: Path, frontal: np.ndarray, suffix: str) -> None:
    noisy = frontal + np.random.default_rng(0).uniform(0, 0.1, frontal.shape)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_radiograph(path)


def test_real_colour(tmp_path: Path, frontal: np.ndarray) -> None:
    gray = np.rint(frontal * 255).astype(np.uint8)
    Image.fromarray(np.stack([gray, gray // 2, 255 - gray], -1)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match=r"photo\.png: the image has real colour"):
        read_radiograph(tmp_path / "photo.png")
    patch = np.stack([gray] * 3, -1)
    patch[100:180, 100:180] = (250, 40, 40)  # a heat map or a coloured box on a grey picture
    Image.fromarray(patch).save(tmp_path / "patch.jpg")
    with pytest.raises(InputError, match="real colour"):
        read_radiograph(tmp_path / "patch.jpg")
    arrow = np.stack([gray] * 3, -1)
    arrow[100:104, 100:140] = (250, 40, 40)
    Image.fromarray(arrow).save(tmp_path / "arrow.png")
    read_radiograph(tmp_path / "arrow.png")


def test_a_name_that_says_lateral_is_believed_until_the_user_says_otherwise(
    tmp_path: Path, frontal: np.ndarray
) -> None:
    for name in ("view2_lateral.jpg", "17-lat.png", "left oblique.png"):
        Image.fromarray(np.rint(frontal * 255).astype(np.uint8)).save(tmp_path / name)
        with pytest.raises(InputError, match="by its name"):
            read_radiograph(tmp_path / name)
        assert read_radiograph(tmp_path / name, ap=False).view == "PA"
        assert read_radiograph(tmp_path / name, lateral=True).gray.shape == (128, 128)
    for name in ("unilateral.png", "view1_frontal.png", "latest.png"):
        Image.fromarray(np.rint(frontal * 255).astype(np.uint8)).save(tmp_path / name)
        assert read_radiograph(tmp_path / name).notes == []


def test_constant_and_tiny(tmp_path: Path, frontal: np.ndarray) -> None:
    Image.fromarray(np.full((100, 100), 90, np.uint8)).save(tmp_path / "flat.png")
    with pytest.raises(InputError, match="one constant grey"):
        read_radiograph(tmp_path / "flat.png")
    edge = np.full((100, 140), 90, np.uint8)
    edge[:, :20] = 10
    Image.fromarray(edge).save(tmp_path / "edge.png")
    with pytest.raises(InputError, match="middle square"):
        read_radiograph(tmp_path / "edge.png")
    Image.fromarray(np.rint(frontal[:63, :200] * 255).astype(np.uint8)).save(tmp_path / "tiny.png")
    with pytest.raises(InputError, match="200 x 63 pixels"):
        read_radiograph(tmp_path / "tiny.png")


@pytest.mark.parametrize("folder", ["cxr_ctr/jsrt", "cxr_ctr/wingspan", "cxr_nih/nih64", "cxr_nih/nih256"])
def test_real_radiographs(real_data: Path, folder: str) -> None:
    files = sorted(f for f in (real_data / folder).glob("*.png") if "mask" not in f.name)[::20]
    for file in files:
        radiograph = read_radiograph(file)
        assert radiograph.gray.shape == (128, 128)
        assert radiograph.notes == []
