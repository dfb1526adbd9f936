"""Enhanced and legacy-converted CT: one file, many frames, each with its place, rescale and pass."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from tests.volume.dicom.conftest import COLUMNS, ROWS, STEP_MM, plain_hu
from xray2xray.core.errors import InputError
from xray2xray.volume import is_volume, read_dicom_series, read_volume

COUNT = 12


def item(**tags: Any) -> Dataset:
    found = Dataset()
    for name, value in tags.items():
        setattr(found, name, value)
    return found


def write(
    path: Path,
    scanner: Any,
    sop_class: str = EnhancedCTImageStorage,
    heights_mm: list[float] | None = None,
    acquisition: Callable[[int], int] = lambda k: 1,
    shared_rescale: bool = True,
    frame_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "VOLUME", "NONE"),
) -> None:
    """Frames at the heights; frame k holds `plain_hu(k)`."""
    heights_mm = [STEP_MM * k for k in range(COUNT)] if heights_mm is None else heights_mm
    image = scanner.image(plain_hu(0), np.zeros(3), "1.2.7", SOPClassUID=sop_class)
    image.file_meta.MediaStorageSOPClassUID = sop_class
    del image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
    del image.RescaleSlope, image.RescaleIntercept
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[4, 4], SliceThickness=5)],
        CTImageFrameTypeSequence=[item(FrameType=list(frame_type))],
    )
    frames, pixels = [], []
    for k, height in enumerate(heights_mm):
        slope = 1.0 if shared_rescale else 1 + 0.25 * (k % 2)
        rescale = [item(RescaleSlope=slope, RescaleIntercept=-1024, RescaleType="HU")]
        place = [item(ImagePositionPatient=[-100, -80, height])]
        content = [item(FrameAcquisitionNumber=acquisition(k))]
        frames.append(item(PlanePositionSequence=place, FrameContentSequence=content))
        (shared if shared_rescale else frames[-1]).PixelValueTransformationSequence = rescale
        pixels.append(np.rint((plain_hu(k) + 1024) / slope))
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [shared], frames
    image.NumberOfFrames = len(frames)
    image.PixelData = np.array(pixels).astype(np.uint16).tobytes()
    pydicom.dcmwrite(path, image)


@pytest.mark.parametrize("sop_class", [EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage])
@pytest.mark.parametrize("shared_rescale", [True, False])
def test_frames_become_slices(tmp_path: Path, scanner: Any, sop_class: str, shared_rescale: bool) -> None:
    """In any order of the frames; as a folder and as the file itself."""
    heights = [STEP_MM * k for k in np.random.default_rng(0).permutation(COUNT)]
    write(tmp_path / "ct.dcm", scanner, sop_class, heights, shared_rescale=shared_rescale)
    assert is_volume(tmp_path / "ct.dcm")
    for given in (tmp_path, tmp_path / "ct.dcm"):
        volume = read_dicom_series(given)
        assert volume.shape == (COLUMNS, ROWS, COUNT)
        for k, height in enumerate(heights):
            at = round(height / STEP_MM)
            np.testing.assert_allclose(volume.hu[::-1, ::-1, at].T, plain_hu(k), atol=0.63)
        np.testing.assert_allclose(volume.affine[:3, 3], [100 - 4 * (COLUMNS - 1), 80 - 4 * (ROWS - 1), 0])


def test_two_acquisitions_in_one_file_are_two_stacks(tmp_path: Path, scanner: Any) -> None:
    heights = [STEP_MM * (k // 2 + 0.5 * (k % 2)) for k in range(2 * COUNT)]
    write(tmp_path / "ct.dcm", scanner, heights_mm=heights, acquisition=lambda k: k % 2)
    volume = read_dicom_series(tmp_path, series="1.2.7:1")
    assert volume.shape[2] == COUNT
    np.testing.assert_allclose(volume.hu[::-1, ::-1, 2].T, plain_hu(5))


def test_a_frame_type_counts_as_an_image_type(tmp_path: Path, scanner: Any) -> None:
    write(tmp_path / "ct.dcm", scanner, frame_type=("DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"))
    with pytest.raises(InputError, match=r"projection \(MAXIMUM\)"):
        read_dicom_series(tmp_path)


def test_frames_without_a_place_are_named(tmp_path: Path, scanner: Any) -> None:
    write(tmp_path / "ct.dcm", scanner)
    image = pydicom.dcmread(tmp_path / "ct.dcm")
    del image.PerFrameFunctionalGroupsSequence
    pydicom.dcmwrite(tmp_path / "ct.dcm", image)
    for given in (tmp_path, tmp_path / "ct.dcm"):
        with pytest.raises(InputError, match="multi-frame file without a place for each frame"):
            read_volume(given)


def test_one_slice_as_a_file_is_no_volume(tmp_path: Path, scanner: Any) -> None:
    pydicom.dcmwrite(tmp_path / "a.dcm", scanner.image(np.zeros((8, 8)), np.zeros(3), "1.2.3"))
    assert not is_volume(tmp_path / "a.dcm")
