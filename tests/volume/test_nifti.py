from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.volume import Volume, read_nifti, read_volume, write_nifti
from xray2xray.volume.nifti import VIRTUAL_PATIENT, is_virtual_patient

Chest = Callable[..., Volume]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_round_trip_keeps_values_and_place(tmp_path: Path, suffix: str) -> None:
    hu = np.random.default_rng(0).integers(-1024, 3000, (5, 6, 7)).astype(np.float32)
    affine = np.array([[-2, 0, 0, 30], [0, 0, 3, -20], [0, 2.5, 0, 10], [0, 0, 0, 1.0]])
    write_nifti(tmp_path / f"a{suffix}", Volume(hu, affine))
    volume = read_nifti(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(volume.hu, hu)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


def test_header_says_mm_scanner_and_int16(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii.gz", Volume(np.full((3, 3, 3), 99999.0), np.diag([2.0, 2, 2, 1])))
    image = nib.load(tmp_path / "a.nii.gz")
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header["sform_code"] == image.header["qform_code"] == 1
    assert image.get_data_dtype() == np.int16
    assert np.asarray(image.dataobj).max() == 32767


def test_a_virtual_patient_is_known_from_the_header(tmp_path: Path) -> None:
    volume = Volume(np.zeros((3, 3, 3)), np.eye(4))
    write_nifti(tmp_path / "scan.nii.gz", volume)
    write_nifti(tmp_path / "virtual.nii.gz", volume, VIRTUAL_PATIENT)
    (tmp_path / "damaged.nii").write_bytes(b"no header")
    told = {path.name: is_virtual_patient(path) for path in [*tmp_path.iterdir(), tmp_path, tmp_path / "absent.nii"]}
    assert [name for name, virtual in told.items() if virtual] == ["virtual.nii.gz"]


def test_write_wants_a_nifti_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.nii"):
        write_nifti(tmp_path / "volume.mha", Volume(np.zeros((2, 2, 2)), np.eye(4)))


def test_trailing_axis_of_one_is_dropped_and_more_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6, 1), np.int16), np.eye(4)), tmp_path / "one.nii")
    assert read_nifti(tmp_path / "one.nii").shape == (4, 5, 6)
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6, 2), np.int16), np.eye(4)), tmp_path / "two.nii")
    with pytest.raises(InputError, match="several images"):
        read_nifti(tmp_path / "two.nii")
    nib.save(nib.Nifti1Image(np.zeros((4, 5), np.int16), np.eye(4)), tmp_path / "flat.nii")
    with pytest.raises(InputError, match="3D"):
        read_nifti(tmp_path / "flat.nii")


def test_units_become_mm(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.diag([0.002, 0.002, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "metres.nii")
    np.testing.assert_allclose(read_nifti(tmp_path / "metres.nii").spacing_mm, [2, 2, 3], rtol=1e-5)


def test_nothing_but_nan_is_no_image(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((4, 4, 4), np.nan, np.float32), np.eye(4)), tmp_path / "empty.nii")
    with pytest.raises(InputError, match=r"empty\.nii: every voxel is NaN"):
        read_nifti(tmp_path / "empty.nii")


def test_nan_is_air_and_infinity_is_refused(tmp_path: Path) -> None:
    hu = np.zeros((4, 5, 6), np.float32)
    hu[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(hu, np.eye(4)), tmp_path / "nan.nii")
    assert read_nifti(tmp_path / "nan.nii").hu[0, 0, 0] == -1024
    hu[0, 0, 0] = np.inf
    nib.save(nib.Nifti1Image(hu, np.eye(4)), tmp_path / "inf.nii")
    with pytest.raises(InputError, match="infinite"):
        read_nifti(tmp_path / "inf.nii")


def _with_header(path: Path, rows: np.ndarray | None = None, zooms: tuple[float, ...] | None = None) -> Path:
    """A NIfTI file whose header is spoilt byte by byte: nibabel itself refuses to write one."""
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
    image.set_sform(np.eye(4), code=1)
    nib.save(image, path)
    data = bytearray(path.read_bytes())
    if rows is not None:
        data[280:328] = np.asarray(rows, "<f4").tobytes()  # srow_x, srow_y, srow_z
    if zooms is not None:
        data[80:92] = np.asarray(zooms, "<f4").tobytes()  # pixdim[1..3]
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.zeros((3, 4)), "singular"),
        (np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]), "singular"),
        (np.array([[1, 0, 0, 0], [0, np.nan, 0, 0], [0, 0, 1, 0]]), "missing or infinite"),
    ],
)
def test_singular_or_nan_affine_is_refused(tmp_path: Path, rows: np.ndarray, says: str) -> None:
    path = _with_header(tmp_path / "bad.nii", rows)
    with pytest.raises(InputError, match=says):
        read_volume(path)


def test_voxel_size_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 mm"):
        read_nifti(_with_header(tmp_path / "bad.nii", zooms=(1, 0, 1)))


def test_missing_orientation_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), None), tmp_path / "a.nii")
    read_nifti(tmp_path / "a.nii")
    assert "no orientation" in caplog.text


def test_truncated_and_wrong_files_are_refused(tmp_path: Path, chest: Chest) -> None:
    write_nifti(tmp_path / "a.nii.gz", chest())
    whole = (tmp_path / "a.nii.gz").read_bytes()
    for length in (0, 10, 300, len(whole) // 2, len(whole) - 100):
        (tmp_path / "cut.nii.gz").write_bytes(whole[:length])
        with pytest.raises(InputError, match="damaged or cut short") as caught:
            read_nifti(tmp_path / "cut.nii.gz")
        assert "\n" not in str(caught.value)
    write_nifti(tmp_path / "b.nii", chest())
    (tmp_path / "cut.nii").write_bytes((tmp_path / "b.nii").read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_nifti(tmp_path / "cut.nii")
    (tmp_path / "text.nii").write_text("this is no scan")
    with pytest.raises(InputError, match="not a NIfTI file"):
        read_nifti(tmp_path / "text.nii")
    with pytest.raises(InputError, match="no such file"):
        read_nifti(tmp_path / "missing.nii")


def test_colour_voxels_are_refused(tmp_path: Path) -> None:
    colour = np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colour, np.eye(4)), tmp_path / "rgb.nii")
    with pytest.raises(InputError, match="not numbers in HU"):
        read_nifti(tmp_path / "rgb.nii")


def test_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    path = _with_header(tmp_path / "huge.nii")
    data = bytearray(path.read_bytes())
    data[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="too many"):
        read_nifti(path)


def _with_two_forms(path: Path, sform: np.ndarray, qform: np.ndarray, sform_code: int = 1) -> Path:
    image = nib.Nifti1Image(np.zeros((40, 50, 60), np.int16), None)
    image.set_sform(sform, code=sform_code)
    image.set_qform(qform, code=1)
    nib.save(image, path)
    return path


TURNED = np.array([[2 * np.cos(0.3), -2 * np.sin(0.3), 0, 0], [2 * np.sin(0.3), 2 * np.cos(0.3), 0, 0],
                   [0, 0, 2, 0], [0, 0, 0, 1]])  # fmt: skip


@pytest.mark.parametrize(
    "qform",
    [np.diag([-2.0, 2, 2, 1]), np.diag([-2.0, -2, 2, 1]), np.diag([2.0, 2, -2, 1]), TURNED],
)
def test_sform_and_qform_that_turn_the_scan_differently_are_refused(tmp_path: Path, qform: np.ndarray) -> None:
    path = _with_two_forms(tmp_path / "a.nii", np.diag([2.0, 2, 2, 1]), qform)
    with pytest.raises(InputError, match="sform and qform turn or scale the scan differently"):
        read_nifti(path)


def test_sform_and_qform_apart_are_said_and_the_sform_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    moved = np.diag([2.0, 2, 2, 1])
    moved[:3, 3] = (0, 30, 40)
    volume = read_nifti(_with_two_forms(tmp_path / "a.nii", np.diag([2.0, 2, 2, 1]), moved))
    np.testing.assert_array_equal(volume.affine, np.diag([2.0, 2, 2, 1]))
    assert volume.notes == ("sform and qform place the scan 50 mm apart; the sform was taken",)
    assert volume.notes[0] in caplog.text


def test_a_tilted_gantry_is_no_conflict(tmp_path: Path) -> None:
    """A qform has no shear: what it can say of the same scan is enough."""
    sheared = np.diag([2.0, 2, 2, 1])
    sheared[1, 2] = 0.5
    volume = Volume(np.zeros((8, 8, 8)), sheared)
    write_nifti(tmp_path / "a.nii", volume)
    found = read_nifti(tmp_path / "a.nii")
    np.testing.assert_allclose(found.affine, sheared, atol=1e-6)
    assert found.notes == ()


def test_a_scan_in_an_atlas_is_said(tmp_path: Path) -> None:
    plain = np.diag([2.0, 2, 2, 1])
    volume = read_nifti(_with_two_forms(tmp_path / "a.nii", plain, plain, sform_code=4))
    assert "in an atlas" in volume.notes[0]
