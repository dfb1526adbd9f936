import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, MRImageStorage

from xray2xray.core.errors import InputError
from xray2xray.io import archive as archive_module
from xray2xray.volume import Volume, canonical, read_dicom_series, read_volume

SCOUT = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
FRONTAL, LATERAL = [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]

Chest = Callable[..., Volume]


@pytest.fixture(scope="module")
def thin(chest: Chest) -> Volume:
    return chest((4.0, 4.0, 16.0))  # 20 slices


def test_slices_are_sorted_and_lps_becomes_ras(tmp_path: Path, scanner: Any, thin: Volume) -> None:
    scanner.series(tmp_path / "deep" / "er", thin)
    volume = read_dicom_series(tmp_path)
    assert volume.shape == thin.shape
    result = read_volume(tmp_path)
    np.testing.assert_allclose(result.hu, thin.hu, atol=0.26)  # half a stored step
    np.testing.assert_allclose(result.affine, thin.affine, atol=1e-9)


def test_affine_by_hand(tmp_path: Path, scanner: Any) -> None:
    """Two rows, three columns, unequal spacing: PixelSpacing is between rows first, and LPS x and y change sign."""
    for k in range(3):
        hu = np.arange(6.0).reshape(2, 3) + 10 * k
        image = scanner.image(hu, np.array([5.0, 7.0, 30.0 - 2.5 * k]), "1.2.3", PixelSpacing=[0.5, 0.8])
        pydicom.dcmwrite(tmp_path / f"{k}.dcm", image)
    volume = read_dicom_series(tmp_path)
    assert volume.shape == (3, 2, 3)  # columns run to the left, rows to the back: both are turned
    np.testing.assert_allclose(volume.affine @ [2, 1, 0, 1], [-5, -7, 25, 1])  # the lowest slice is first
    np.testing.assert_allclose(volume.affine @ [0, 0, 2, 1], [-5 - 1.6, -7 - 0.5, 30, 1])
    assert volume.hu[0, 0, 0] == 25
    assert volume.hu[2, 1, 2] == 0


def test_rescale_of_each_slice_is_its_own(tmp_path: Path, scanner: Any) -> None:
    for k, slope in enumerate((0.5, 1.0, 2.0)):
        image = scanner.image(np.full((4, 4), 50.0 + k), np.array([0, 0, 3.0 * k]), "1.2.3", RescaleSlope=slope)
        pydicom.dcmwrite(tmp_path / f"{k}.dcm", image)
    np.testing.assert_allclose(read_dicom_series(tmp_path).hu[0, 0], [50, 51, 52], atol=1)


def test_coronal_slices_and_a_tilted_gantry(tmp_path: Path, scanner: Any) -> None:
    for k in range(3):
        coronal = scanner.image(np.full((4, 5), 10.0 * k), np.array([0, 3.0 * k, 0]), "1.2.3")
        coronal.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        pydicom.dcmwrite(tmp_path / f"{k}.dcm", coronal)
    volume = canonical(read_dicom_series(tmp_path))
    np.testing.assert_allclose(volume.affine[:3, :3], np.diag([4, 3, 4]), atol=1e-12)
    np.testing.assert_allclose(volume.hu[0, :, 0], [20, 10, 0], atol=0.3)  # y in LPS is posterior
    tilted = tmp_path / "tilted"
    tilted.mkdir()
    for k in range(3):
        image = scanner.image(np.zeros((4, 5)), np.array([0, 0, 5.0 * k]), "1.2.4")
        image.ImageOrientationPatient = [1, 0, 0, 0, np.cos(0.2), -np.sin(0.2)]
        pydicom.dcmwrite(tilted / f"{k}.dcm", image)
    np.testing.assert_allclose(read_dicom_series(tilted).affine[:3, 2], [0, 0, 5], atol=1e-9)


def test_zip_is_read_in_place_and_equals_the_folder(tmp_path: Path, scanner: Any, thin: Volume) -> None:
    paths = scanner.series(tmp_path / "ct", thin)
    with zipfile.ZipFile(tmp_path / "ct.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, f"some/folder/{path.name}")
        archive.writestr("some/readme.txt", "hello")
    before = sorted(tmp_path.rglob("*"))
    from_zip, from_folder = read_dicom_series(tmp_path / "ct.zip"), read_dicom_series(tmp_path / "ct")
    np.testing.assert_array_equal(from_zip.hu, from_folder.hu)
    np.testing.assert_array_equal(from_zip.affine, from_folder.affine)
    assert sorted(tmp_path.rglob("*")) == before


def test_junk_other_kinds_and_localizers_are_passed_over(tmp_path: Path, scanner: Any, thin: Volume) -> None:
    scanner.series(tmp_path, thin, uid="1.2.3")
    (tmp_path / "notes.txt").write_text("no scan")
    (tmp_path / "noise.dcm").write_bytes(b"\0" * 128 + b"DICM" + bytes(range(200)))
    pixels, corner = np.zeros((8, 8)), np.zeros(3)
    mr = scanner.image(pixels, corner, "1.2.3", SOPClassUID=MRImageStorage, Modality="MR")
    mr.file_meta.MediaStorageSOPClassUID = MRImageStorage
    pydicom.dcmwrite(tmp_path / "mr.dcm", mr)
    # one localizer says so, the other, in the same series, only lies differently
    pydicom.dcmwrite(tmp_path / "scout1.dcm", scanner.image(pixels, corner, "1.2.3", ImageType=SCOUT))
    pydicom.dcmwrite(tmp_path / "scout2.dcm", scanner.image(pixels, corner, "1.2.3", ImageOrientationPatient=FRONTAL))
    sheet = scanner.image(pixels, corner, "1.2.3")
    del sheet.ImagePositionPatient
    pydicom.dcmwrite(tmp_path / "sheet.dcm", sheet)
    assert read_dicom_series(tmp_path).shape == thin.shape


def test_same_image_exported_twice_counts_once(tmp_path: Path, scanner: Any, thin: Volume) -> None:
    first = scanner.series(tmp_path / "a", thin)[0]
    shutil.copy(first, tmp_path / "copy.dcm")
    assert read_dicom_series(tmp_path).shape == thin.shape


def test_of_two_series_the_rule_chooses_and_says_so(
    tmp_path: Path, scanner: Any, chest: Chest, caplog: pytest.LogCaptureFixture
) -> None:
    thick, fine = chest((4.0, 4.0, 16.0)), chest((4.0, 4.0, 8.0))
    part = Volume(fine.hu[:, :, :10], fine.affine)  # finest of all would lose: a quarter of the range
    scanner.series(tmp_path / "a", thick, uid="1.2.1")
    scanner.series(tmp_path / "b", fine, uid="1.2.2")
    scanner.series(tmp_path / "c", part, uid="1.2.3")
    assert read_dicom_series(tmp_path).shape[2] == 40
    said = caplog.text
    caplog.clear()
    assert "3 CT series, reading 1.2.2" in said
    assert "--series" in said
    assert "1.2.1" in said
    assert "1.2.3" in said
    assert read_dicom_series(tmp_path, series="1.2.3").shape[2] == 10
    assert caplog.text == ""
    with pytest.raises(InputError, match=r"no CT series 9\.9.*1\.2\.1"):
        read_dicom_series(tmp_path, series="9.9")


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no DICOM CT images"):
        read_volume(tmp_path)


def test_only_localizers(tmp_path: Path, scanner: Any) -> None:
    for k in range(2):
        scout = scanner.image(np.zeros((8, 8)), np.array([0, 0, 5.0 * k]), "1.2.3", ImageType=SCOUT)
        pydicom.dcmwrite(tmp_path / f"{k}.dcm", scout)
    with pytest.raises(InputError, match="only localizers"):
        read_volume(tmp_path)
    # a frontal and a lateral scout that do not call themselves localizers
    for k, direction in enumerate((FRONTAL, LATERAL)):
        pydicom.dcmwrite(
            tmp_path / f"{k}.dcm",
            scanner.image(np.zeros((8, 8)), np.zeros(3), "1.2.3", ImageOrientationPatient=direction),
        )
    with pytest.raises(InputError, match="only localizers"):
        read_volume(tmp_path)


def test_missing_slices_are_located(tmp_path: Path, scanner: Any, thin: Volume) -> None:
    paths = scanner.series(tmp_path, thin)  # top first
    paths[5].unlink()
    below, above = thin.affine[2, 3] + 16 * 13, thin.affine[2, 3] + 16 * 15
    with pytest.raises(InputError, match=f"missing between {below:.1f} and {above:.1f} mm") as caught:
        read_volume(tmp_path)
    _no_person_in(str(caught.value))


def test_several_phases_in_one_series(tmp_path: Path, scanner: Any, thin: Volume) -> None:
    scanner.series(tmp_path / "a", thin, uid="1.2.3")
    scanner.series(tmp_path / "b", Volume(thin.hu + 8, thin.affine), uid="1.2.3")
    with pytest.raises(InputError, match="20 slice positions occur twice with other pixels"):
        read_volume(tmp_path)


def test_slices_unlike_each_other(tmp_path: Path, scanner: Any) -> None:
    for k in range(4):
        size = 9 if k == 2 else 8
        pydicom.dcmwrite(tmp_path / f"{k}.dcm", scanner.image(np.zeros((size, 8)), np.array([0, 0, 5.0 * k]), "1.2.3"))
    with pytest.raises(InputError, match="another matrix"):
        read_dicom_series(tmp_path)
    for k in range(4):
        shift = 10.0 * (k == 2)
        pydicom.dcmwrite(tmp_path / f"{k}.dcm", scanner.image(np.zeros((8, 8)), np.array([shift, 0, 5.0 * k]), "1.2.3"))
    with pytest.raises(InputError, match="not evenly spaced"):
        read_dicom_series(tmp_path)


def test_no_rescale_and_cut_pixels(tmp_path: Path, scanner: Any) -> None:
    for k in range(3):
        image = scanner.image(np.zeros((8, 8)), np.array([0, 0, 5.0 * k]), "1.2.3")
        if k == 1:
            del image.RescaleSlope
        pydicom.dcmwrite(tmp_path / f"{k}.dcm", image)
    with pytest.raises(InputError, match=r"1\.dcm has no rescale"):
        read_dicom_series(tmp_path)
    pydicom.dcmwrite(tmp_path / "1.dcm", scanner.image(np.zeros((8, 8)), np.array([0, 0, 5.0]), "1.2.3"))
    whole = (tmp_path / "1.dcm").read_bytes()
    (tmp_path / "1.dcm").write_bytes(whole[:-40])
    with pytest.raises(InputError, match=r"1\.dcm: damaged or cut short") as caught:
        read_dicom_series(tmp_path)
    _no_person_in(str(caught.value))


def test_compression_without_a_decoder_names_the_extra(tmp_path: Path, scanner: Any) -> None:
    for k in range(3):
        image = scanner.image(np.zeros((8, 8)), np.array([0, 0, 5.0 * k]), "1.2.3")
        image.file_meta.TransferSyntaxUID = JPEGLSLossless
        image.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8 no such picture \xff\xd9"])
        image["PixelData"].is_undefined_length = True
        pydicom.dcmwrite(tmp_path / f"{k}.dcm", image)
    with pytest.raises(InputError, match=r"JPEG-LS.*pip install 'xray2xray\[dicom\]'"):
        read_dicom_series(tmp_path)


def test_jpeg_2000_is_read(tmp_path: Path, scanner: Any) -> None:
    hu = np.add.outer(np.arange(32.0), np.arange(32.0))
    for k in range(3):
        image = scanner.image(hu + k, np.array([0, 0, 5.0 * k]), "1.2.3")
        packed = io.BytesIO()
        Image.fromarray(np.frombuffer(image.PixelData, np.uint16).reshape(32, 32)).save(packed, "JPEG2000", no_jp2=True)
        image.file_meta.TransferSyntaxUID = JPEG2000Lossless
        image.PixelData = pydicom.encaps.encapsulate([packed.getvalue()])
        image["PixelData"].is_undefined_length = True
        pydicom.dcmwrite(tmp_path / f"{k}.dcm", image)
    np.testing.assert_allclose(read_dicom_series(tmp_path).hu[::-1, ::-1, 2], hu.T + 2, atol=0.26)


def test_zip_bomb_damaged_zip_and_no_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", b"\0" * 3_000_000)
    bomb = tmp_path / "bomb.zip"
    bomb.write_bytes(packed.getvalue())
    with pytest.raises(InputError, match="no DICOM CT images"):
        read_volume(bomb)
    monkeypatch.setattr(archive_module, "MAX_UNPACKED_BYTES", 2_000_000)
    with pytest.raises(InputError, match="unpacks to"):
        read_volume(bomb)
    bomb.write_bytes(packed.getvalue()[:100])
    with pytest.raises(InputError, match="cannot be read as a zip"):
        read_volume(bomb)
    with pytest.raises(InputError, match="no such file"):
        read_volume(tmp_path / "missing.zip")


def _no_person_in(message: str) -> None:
    assert "Secret" not in message
    assert "4711" not in message
    assert "\n" not in message
