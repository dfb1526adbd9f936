from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from xray2xray.core.errors import InputError
from xray2xray.volume import Volume, body_mask, canonical, is_volume, isocentre_mm, read_volume, write_nifti

Chest = Callable[..., Volume]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.nii", True), ("a.nii.gz", True), ("A.NII.GZ", True), ("a.zip", True), ("a.png", False), ("a.dcm", False)],
)
def test_is_volume_by_name(tmp_path: Path, name: str, expected: bool) -> None:
    assert is_volume(tmp_path / name) is expected
    assert is_volume(tmp_path)


def test_result_is_canonical(tmp_path: Path, chest: Chest) -> None:
    volume = chest()
    flip = np.diag([-1.0, -1, 1, 1])
    flip[:2, 3] = np.array(volume.shape[:2]) - 1
    write_nifti(tmp_path / "lps.nii.gz", Volume(volume.hu[::-1, ::-1], volume.affine @ flip))
    result = read_volume(tmp_path / "lps.nii.gz")
    np.testing.assert_array_equal(result.hu, volume.hu)
    np.testing.assert_allclose(result.affine, volume.affine, atol=1e-4)


def test_too_small_a_scan_is_refused_in_patient_axes(tmp_path: Path, chest: Chest) -> None:
    volume = chest((4.0, 4.0, 4.0))
    write_nifti(tmp_path / "flat.nii", Volume(volume.hu[:, :, :37], volume.affine))  # 148 mm
    with pytest.raises(InputError, match=r"400 x 320 x 148 mm.*200 x 200 x 150"):
        read_volume(tmp_path / "flat.nii")
    write_nifti(tmp_path / "enough.nii", Volume(volume.hu[:, :, :38], volume.affine))
    read_volume(tmp_path / "enough.nii")
    write_nifti(tmp_path / "narrow.nii", Volume(volume.hu[:49], volume.affine))
    with pytest.raises(InputError, match="196 x 320"):
        read_volume(tmp_path / "narrow.nii")
    # the same short scan stored with z first: 148 mm is still superior to inferior
    order = volume.affine[:, [2, 0, 1, 3]]
    write_nifti(tmp_path / "zxy.nii", Volume(volume.hu[:, :, :37].transpose(2, 0, 1), order))
    with pytest.raises(InputError, match="400 x 320 x 148"):
        read_volume(tmp_path / "zxy.nii")


@pytest.mark.parametrize(("low", "high"), [(0, 255), (0.0, 1.0), (-100, 4000), (-1024, 100)])
def test_values_that_are_no_hu_are_refused(tmp_path: Path, low: float, high: float) -> None:
    data = np.linspace(low, high, 60 * 60 * 60).reshape(60, 60, 60).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.diag([4.0, 4, 4, 1])), tmp_path / "a.nii")
    with pytest.raises(InputError, match="do not look like HU"):
        read_volume(tmp_path / "a.nii")


def test_what_is_no_ct_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_volume(tmp_path / "nothing.nii")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="not a CT"):
        read_volume(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["LIDC-IDRI-0001", "Lung_Dx-A0001", "Lung_Dx-A0002", "pyradiomics-lung1"])
def test_real_cts(real_data: Path, name: str) -> None:
    volume = read_volume(real_data / "ct" / f"{name}_2mm.nii.gz")
    np.testing.assert_allclose(volume.affine[:3, :3], 2 * np.eye(3))
    body = body_mask(volume)
    litres = body.sum() * 8e-6
    assert 8 < litres < 30
    centre = np.linalg.solve(volume.affine, [*isocentre_mm(volume), 1])[:3]
    assert body[tuple(np.rint(centre).astype(int))]
    lungs = (volume.hu < -500) & body
    assert 2 < lungs.sum() * 8e-6 < 8
    # the spine is behind, and on the right is the larger lung, unless a tumour has shrunk it: there look for the liver
    right, front = (int(c) for c in centre[:2])
    bone = ((volume.hu > 300) & body).sum((0, 2))
    assert bone[:front].sum() > bone[front:].sum()
    if name == "Lung_Dx-A0002":
        low = volume.hu[:, front:, :25]
        liver = ((low > 30) & (low < 150)).sum((1, 2))
        assert liver[right:].sum() > 1.5 * liver[:right].sum()
    else:
        gas = lungs.sum((1, 2))
        assert gas[right:].sum() > 1.1 * gas[:right].sum()


def test_real_dicom_zip_stands_where_its_nifti_does(real_data: Path) -> None:
    """The NIfTI is the same scan resampled to 2 mm by other software: an independent check of LPS to RAS."""
    nifti = read_volume(real_data / "ct" / "Lung_Dx-A0002_2mm.nii.gz")
    dicom = read_volume(real_data / "raw_formats" / "dicom_Lung_Dx-A0002_s3.zip")
    assert dicom.shape == (512, 512, 30)
    np.testing.assert_allclose(dicom.spacing_mm, [0.646484375, 0.646484375, 8])
    np.testing.assert_allclose(isocentre_mm(dicom), isocentre_mm(nifti), atol=3)
    index = np.indices(nifti.shape).reshape(3, -1)[:, ::101]
    place = np.linalg.inv(dicom.affine) @ nifti.affine @ np.vstack([index, np.ones(index.shape[1])])
    sampled = ndimage.map_coordinates(dicom.hu, place[:3], order=1, cval=np.nan)
    known = np.isfinite(sampled)
    values = nifti.hu[tuple(index)]
    assert known.mean() > 0.9
    assert np.abs(sampled - values)[known].mean() < 15
    assert np.corrcoef(sampled[known], values[known])[0, 1] > 0.99
    assert canonical(dicom) is dicom
