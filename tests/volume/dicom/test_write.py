"""A volume that was written as DICOM is where it was, says what it is, and names nobody."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from xray2xray.core.errors import InputError
from xray2xray.volume import Volume, canonical, read_dicom_series, write_dicom_series

COSINE, SINE = np.cos(0.3), np.sin(0.3)
AFFINES = {
    "plain": np.array([[2, 0, 0, -30], [0, 3, 0, 20], [0, 0, 2.5, -1500], [0, 0, 0, 1.0]]),
    "stored to the left": np.array([[-2, 0, 0, 30], [0, 3, 0, 20], [0, 0, 2.5, 0], [0, 0, 0, 1.0]]),
    "turned": np.array([[2 * COSINE, -3 * SINE, 0, 9], [2 * SINE, 3 * COSINE, 0, 8], [0, 0, 2.5, 7], [0, 0, 0, 1]]),
    "sagittal first": np.array([[0, 0, 2, 1], [3, 0, 0, 2], [0, 2.5, 0, 3], [0, 0, 0, 1.0]]),
}


@pytest.mark.parametrize("name", AFFINES)
def test_values_and_place_return(tmp_path: Path, name: str) -> None:
    hu = np.random.default_rng(0).integers(-1024, 3000, (5, 6, 7)).astype(np.float32)
    volume = Volume(hu, AFFINES[name])
    write_dicom_series(tmp_path / "series", volume, "a test")
    found, expected = read_dicom_series(tmp_path / "series"), canonical(volume)
    np.testing.assert_array_equal(found.hu, expected.hu)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["series"]


def test_tags_that_a_viewer_wants(tmp_path: Path) -> None:
    volume = Volume(np.full((4, 5, 6), 99_999.0), np.diag([2.0, 2, 2, 1]), "a/path/of/Secret^Person")
    write_dicom_series(tmp_path / "one", volume, "prediction, not a CT")
    write_dicom_series(tmp_path / "two", volume)
    images = [pydicom.dcmread(path) for path in sorted((tmp_path / "one").iterdir())]
    assert len(images) == 6
    first = images[0]
    assert first.ImageType[0] == "DERIVED"
    assert (first.Modality, first.SeriesDescription, first.PatientPosition) == ("CT", "prediction, not a CT", "HFS")
    assert [image.InstanceNumber for image in images] == [1, 2, 3, 4, 5, 6]
    assert len({image.SOPInstanceUID for image in images}) == 6
    assert len({image.SeriesInstanceUID for image in images}) == 1
    # type 2 of the CT Image IOD: there, though empty
    for tag in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "KVP", "AcquisitionNumber"):
        assert tag in first
        assert not first.get(tag)
    assert first.pixel_array.max() == 65535
    other = pydicom.dcmread(next((tmp_path / "two").iterdir()))
    for tag in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert first.get(tag) != other.get(tag)
    assert not any(b"Secret" in path.read_bytes() for path in tmp_path.rglob("*.dcm"))


def test_what_cannot_be_slices_is_refused(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[1, 2] = 0.3
    with pytest.raises(InputError, match="sheared"):
        write_dicom_series(tmp_path / "a", Volume(np.zeros((4, 4, 4)), sheared))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something already"):
        write_dicom_series(tmp_path / "b", Volume(np.zeros((4, 4, 4)), np.eye(4)))
    assert not (tmp_path / "a").exists()
