"""Every CT image of a folder is a slice of a stack or set aside with its reason; two stacks are not one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian, SecondaryCaptureImageStorage

from tests.volume.dicom.conftest import STEP_MM, plain_hu
from xray2xray.core.errors import InputError
from xray2xray.volume import read_dicom_series
from xray2xray.volume.dicom.files import FolderFiles
from xray2xray.volume.dicom.images import images_in
from xray2xray.volume.dicom.stacks import Found, find_stacks

Stack = Callable[..., list[Path]]
COUNT = 12


def slices_of(folder: Path, series: str | None = None) -> int:
    return read_dicom_series(folder, series).shape[2]


def found_in(folder: Path) -> Found:
    return find_stacks(images_in(FolderFiles(folder), {}), lambda one, other: False)


def without_preamble(path: Path, implicit: bool = True) -> None:
    image = pydicom.dcmread(path)
    del image.file_meta
    image.preamble = None
    pydicom.dcmwrite(path, image, implicit_vr=implicit, little_endian=True, enforce_file_format=False)


# ---------------------------------------------------------------- nothing leaves a stack unaccounted


def test_files_are_slices_or_named(tmp_path: Path, stack: Stack, scanner: Any) -> None:
    """Files with CT pixels = slices + those set aside, whatever lies in the folder; and the notes say why."""
    paths = stack(tmp_path / "ct", 60)
    corner, pixels = np.zeros(3), np.zeros((8, 8))
    scout = scanner.image(pixels, corner, "1.2.3", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    sheet = scanner.image(pixels, corner, "1.2.3")
    del sheet.ImagePositionPatient
    coronal = scanner.image(pixels, corner, "1.2.3", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    for name, image in (("scout", scout), ("sheet", sheet), ("coronal", coronal)):
        pydicom.dcmwrite(tmp_path / f"{name}.dcm", image)
    (tmp_path / "copy.dcm").write_bytes(paths[3].read_bytes())
    (tmp_path / "cut.dcm").write_bytes(paths[4].read_bytes()[:200])
    (tmp_path / "._i003.dcm").write_bytes(b"\0\5\x16\7 AppleDouble")
    (tmp_path / "notes.txt").write_text("no scan")
    volume = read_dicom_series(tmp_path)
    assert volume.shape[2] == 60
    (note,) = volume.notes
    for said in ("5 of 65 CT images", "localizer (scout.dcm)", "no valid ImagePositionPatient (sheet.dcm)"):
        assert said in note
    for said in ("another orientation (coronal.dcm)", "duplicate (ct/i003.dcm)", "unreadable", "(cut.dcm)"):
        assert said in note
    found = found_in(tmp_path)
    assert found.images == 65 == sum(len(s.images) for s in found.stacks) + len(found.aside)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("first", [0, 8])
def test_data_sets_without_preamble_are_slices(tmp_path: Path, stack: Stack, implicit: bool, first: int) -> None:
    for path in stack(tmp_path, COUNT)[first:]:
        without_preamble(path, implicit)
    volume = read_dicom_series(tmp_path)
    assert volume.shape[2] == COUNT
    np.testing.assert_array_equal(volume.hu[::-1, ::-1, 9].T, plain_hu(9))


@pytest.mark.parametrize(
    "uid", [lambda k: "1.2.840.1", lambda k: "", lambda k: f"1.2.840.{k // 2}", lambda k: f"1.2.840.{min(k, 7)}"]
)
def test_a_repeated_image_uid_loses_no_slice(tmp_path: Path, stack: Stack, uid: Callable[[int], str]) -> None:
    stack(tmp_path, COUNT, change=lambda k, image: setattr(image, "SOPInstanceUID", uid(k)))
    assert slices_of(tmp_path) == COUNT


def test_the_same_image_twice_is_one_whatever_its_uid_and_compression(tmp_path: Path, stack: Stack) -> None:
    paths = stack(tmp_path, COUNT)
    for k in (3, 4, 9):
        image = pydicom.dcmread(paths[k])
        image.compress(pydicom.uid.RLELossless)  # and a new UID
        pydicom.dcmwrite(tmp_path / f"copy{k}.dcm", image)
    volume = read_dicom_series(tmp_path)
    assert volume.shape[2] == COUNT
    assert "3 duplicate" in volume.notes[0]


def test_other_pixels_at_a_place_are_no_duplicate(tmp_path: Path, stack: Stack) -> None:
    paths = stack(tmp_path, COUNT)
    image = pydicom.dcmread(paths[5])
    image.PixelData = bytes(len(image.PixelData))
    pydicom.dcmwrite(tmp_path / "other.dcm", image)
    with pytest.raises(InputError, match="1 slice positions occur twice with other pixels"):
        read_dicom_series(tmp_path)


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@pytest.mark.parametrize("first", [0, 9])
def test_slices_without_a_place_are_named_and_more_than_one_refused(
    tmp_path: Path, stack: Stack, tag: str, first: int
) -> None:
    """The topmost three of twelve: no gap shows that they are lost."""
    stack(tmp_path, COUNT, change=lambda k, image: delattr(image, tag) if k >= first else None)
    with pytest.raises(InputError, match=f"no valid {tag}"):
        read_dicom_series(tmp_path)


def test_one_lost_slice_at_the_end_is_said(tmp_path: Path, stack: Stack) -> None:
    paths = stack(tmp_path, COUNT)
    paths[-1].write_bytes(b"")
    volume = read_dicom_series(tmp_path)
    assert volume.shape[2] == COUNT - 1
    assert "1 unreadable" in volume.notes[0]


@pytest.mark.parametrize("content", [b"", b"\0" * 9000, b"\0" * 128 + b"DICM" + b"\x08\0\x16"])
def test_unreadable_files_at_the_end_are_refused(tmp_path: Path, stack: Stack, content: bytes) -> None:
    for path in stack(tmp_path, COUNT)[-3:]:
        path.write_bytes(content)
    with pytest.raises(InputError, match="3 unreadable"):
        read_dicom_series(tmp_path)


@pytest.mark.parametrize(
    "tags", [{"PixelSpacing": [3, 3]}, {"ImageOrientationPatient": [0.9986, 0.0523, 0, -0.0523, 0.9986, 0]}]
)
def test_slices_unlike_the_others_at_the_end_are_refused(tmp_path: Path, stack: Stack, tags: dict[str, Any]) -> None:
    stack(tmp_path / "a", COUNT)
    stack(tmp_path / "b", 4, start_mm=COUNT * STEP_MM, **tags)
    with pytest.raises(InputError, match="4 another matrix, pixel size or direction"):
        read_dicom_series(tmp_path)


def test_directions_that_were_rounded_are_one_orientation(tmp_path: Path, stack: Stack) -> None:
    """Half of them fall on the other side of a rounding to two digits."""
    sine = [0.0049 if k % 2 else 0.0051 for k in range(COUNT)]
    stack(
        tmp_path,
        COUNT,
        change=lambda k, image: setattr(image, "ImageOrientationPatient", [1, sine[k], 0, -sine[k], 1, 0]),
    )
    assert slices_of(tmp_path) == COUNT


def test_linked_folders_are_followed_and_loops_refused(tmp_path: Path, stack: Stack) -> None:
    stack(tmp_path / "store", COUNT)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "ct").symlink_to(tmp_path / "store", target_is_directory=True)
    assert slices_of(tmp_path / "study") == COUNT
    (tmp_path / "store" / "up").symlink_to(tmp_path / "store", target_is_directory=True)
    with pytest.raises(InputError, match="leads back to a folder above it"):
        read_dicom_series(tmp_path / "study")


def test_links_to_files_that_are_gone_are_lost_slices(tmp_path: Path, stack: Stack) -> None:
    for path in stack(tmp_path, COUNT)[-2:]:
        path.unlink()
        os.symlink(tmp_path / "nowhere", path)
    with pytest.raises(InputError, match="2 unreadable"):
        read_dicom_series(tmp_path)


def test_a_ct_of_another_sop_class_is_read_and_said(tmp_path: Path, stack: Stack) -> None:
    def capture(k: int, image: Any) -> None:
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage

    stack(tmp_path, COUNT, change=capture)
    volume = read_dicom_series(tmp_path)
    assert volume.shape[2] == COUNT
    assert "SOP class other than CT" in volume.notes[0]


def test_images_without_a_series_are_held_together_by_their_study(tmp_path: Path, stack: Stack) -> None:
    stack(tmp_path / "none", COUNT, change=lambda k, image: delattr(image, "SeriesInstanceUID"))
    assert slices_of(tmp_path / "none") == COUNT
    stack(tmp_path / "each", COUNT, change=lambda k, image: setattr(image, "SeriesInstanceUID", f"1.2.{k}"))
    volume = read_dicom_series(tmp_path / "each")
    assert volume.shape[2] == COUNT
    assert "a SeriesInstanceUID each" in volume.notes[0]


def test_two_patients_without_series_are_not_mixed(tmp_path: Path, stack: Stack) -> None:
    def of(study: str) -> Callable[[int, Any], None]:
        def change(k: int, image: Any) -> None:
            del image.SeriesInstanceUID
            image.StudyInstanceUID = study

        return change

    stack(tmp_path / "a", COUNT, change=of("1.2.1"))
    stack(tmp_path / "b", COUNT, change=of("1.2.2"), start_mm=STEP_MM / 2, hu=lambda k: plain_hu(k) + 7)
    np.testing.assert_array_equal(read_dicom_series(tmp_path).hu[::-1, ::-1, 0].T, plain_hu(0))


# ---------------------------------------------------------------- two stacks are not one

PASSES = [
    ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
    ({"AcquisitionTime": "101500"}, {"AcquisitionTime": "101600"}),
    ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
    ({"NominalPercentageOfCardiacPhase": 40}, {"NominalPercentageOfCardiacPhase": 75}),
    ({"ConvolutionKernel": "B31f"}, {"ConvolutionKernel": "B70f"}),
    ({"ConvolutionKernel": ["Br40d", "3"]}, {"ConvolutionKernel": ["Bl57d", "3"]}),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}),
    ({"StudyInstanceUID": "1.2.1"}, {"StudyInstanceUID": "1.2.2"}),
]


@pytest.mark.parametrize("offset", [0.0, 0.45, 0.5])
@pytest.mark.parametrize(("first", "second"), PASSES)
def test_a_series_of_two_passes_is_two_stacks(
    tmp_path: Path, stack: Stack, offset: float, first: dict[str, Any], second: dict[str, Any]
) -> None:
    def tagged(tags: dict[str, Any]) -> Callable[[int, Any], None]:
        return lambda k, image: [setattr(image, tag, value) for tag, value in tags.items()] and None  # type: ignore[func-returns-value]

    stack(tmp_path / "a", COUNT, change=tagged(first))
    stack(tmp_path / "b", COUNT, change=tagged(second), start_mm=offset * STEP_MM, hu=lambda k: plain_hu(k) + 7)
    volume = read_dicom_series(tmp_path)
    assert volume.shape[2] == COUNT
    shift = volume.hu[::-1, ::-1, :].transpose(2, 1, 0) - np.array([plain_hu(k) for k in range(COUNT)])
    assert len(np.unique(shift)) == 1  # one pass, not both
    (note,) = volume.notes
    names = [stack.name for stack in found_in(tmp_path).stacks]
    assert len(names) == 2
    assert all(name in note for name in names)
    both = [read_dicom_series(tmp_path, series=name).hu[0, 0, 0] for name in names]
    assert abs(both[0] - both[1]) == 7


def test_slabs_beside_each_other_are_one_stack(tmp_path: Path, stack: Stack) -> None:
    """A table that moves from slab to slab counts an acquisition for each of them, or for each slice."""
    stack(tmp_path / "slabs", COUNT, change=lambda k, image: setattr(image, "AcquisitionNumber", k // 4))
    stack(tmp_path / "slices", COUNT, change=lambda k, image: setattr(image, "AcquisitionNumber", k))
    for name in ("slabs", "slices"):
        assert slices_of(tmp_path / name) == COUNT


def test_slabs_with_a_gap_between_them_are_refused(tmp_path: Path, stack: Stack) -> None:
    stack(tmp_path / "a", COUNT, AcquisitionNumber=1)
    stack(tmp_path / "b", 8, start_mm=(COUNT + 3) * STEP_MM, AcquisitionNumber=2)
    with pytest.raises(InputError, match=r"slices are missing between 55\.0 and 75\.0 mm"):
        read_dicom_series(tmp_path)


def test_a_few_slices_of_another_acquisition_are_not_mixed_in(tmp_path: Path, stack: Stack) -> None:
    """Such as those that watch the contrast arrive before the scan."""
    stack(tmp_path / "a", COUNT, AcquisitionNumber=3)
    stack(tmp_path / "b", 1, start_mm=4.4 * STEP_MM, AcquisitionNumber=1)
    volume = read_dicom_series(tmp_path)
    assert volume.shape[2] == COUNT
    assert "another AcquisitionNumber" in volume.notes[0]


def test_thin_slices_among_thick_ones_and_lost_halves_are_refused(tmp_path: Path, stack: Stack) -> None:
    stack(tmp_path / "a", COUNT)
    stack(tmp_path / "b", 4, start_mm=3.5 * STEP_MM)
    with pytest.raises(InputError, match="thinner slices lie among thick ones"):
        read_dicom_series(tmp_path)
    for path in stack(tmp_path / "c", 20)[1:15:2]:
        path.unlink()
    with pytest.raises(InputError, match=r"missing between 0.0 and 10.0 mm, .* usual step 5 mm"):
        read_dicom_series(tmp_path / "c")


def test_all_at_one_position_is_said(tmp_path: Path, stack: Stack) -> None:
    stack(tmp_path, COUNT, step_mm=0.0)
    with pytest.raises(InputError, match=r"12 all at one position \(ImagePositionPatient\)"):
        read_dicom_series(tmp_path)


@pytest.mark.parametrize("step_mm", [2.5, 1.25])
def test_positions_rounded_to_whole_millimetres(tmp_path: Path, stack: Stack, step_mm: float) -> None:
    def rounded(k: int, image: Any) -> None:
        x, y, z = image.ImagePositionPatient
        image.ImagePositionPatient = [x, y, round(z)]

    stack(tmp_path, 21, step_mm=step_mm, change=rounded)
    np.testing.assert_allclose(read_dicom_series(tmp_path).spacing_mm[2], step_mm)


@pytest.mark.parametrize("lost", [1, 10, 18])
def test_one_thin_slice_that_is_missing_is_found_anywhere(tmp_path: Path, stack: Stack, lost: int) -> None:
    stack(tmp_path, 20, step_mm=1.0)[lost].unlink()
    with pytest.raises(InputError, match="slices are missing"):
        read_dicom_series(tmp_path)


def test_a_bare_implicit_file_is_what_it_was(tmp_path: Path, stack: Stack) -> None:
    def implicit(k: int, image: Any) -> None:
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    stack(tmp_path, COUNT, change=implicit)
    assert slices_of(tmp_path) == COUNT
