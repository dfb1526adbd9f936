"""Images of other libraries: the same voxel stands at the same millimetre, on the way in and on the way out."""

from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from xray2xray.core.errors import InputError
from xray2xray.projection import preset
from xray2xray.session.study import open_input
from xray2xray.volume import Volume, image_of, to_monai, to_simpleitk, to_torchio, write_nifti

TURN = np.array([[0.0, -1.0, 0.0], [0.96, 0.0, -0.28], [0.28, 0.0, 0.96]])  # oblique, right-handed
MARK, VALUE = (3, 1, 2), 700.0


@pytest.fixture
def volume() -> Volume:
    """5 x 4 x 3 voxels of 1 x 2 x 3 mm, oblique, one of which is marked."""
    hu = np.full((5, 4, 3), -1000.0)
    hu[MARK] = VALUE
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = TURN * [1, 2, 3], (10, -20, 30)
    return Volume(hu, affine)


def same(first: Volume, second: object) -> None:
    assert isinstance(second, Volume)
    np.testing.assert_array_equal(first.hu, second.hu)
    np.testing.assert_allclose(first.affine, second.affine, atol=1e-6)


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed; it is in the extra [dev]")


def test_simpleitk_says_where_a_voxel_is_and_we_agree(volume: Volume) -> None:
    library("SimpleITK")
    image = to_simpleitk(volume)
    assert image.GetPixel(MARK) == VALUE
    lps = image.TransformIndexToPhysicalPoint(MARK)
    np.testing.assert_allclose(np.multiply(lps, (-1, -1, 1)), (volume.affine @ [*MARK, 1])[:3], atol=1e-6)
    same(volume, image_of(image))


def test_torchio_and_monai_give_the_volume_back(volume: Volume) -> None:
    library("torchio")
    same(volume, image_of(to_torchio(volume)))
    library("monai")
    same(volume, image_of(to_monai(volume)))
    image = to_monai(volume)
    image.affine[:2] *= -1
    image.meta["space"] = "LPS"
    same(volume, image_of(image))


def test_all_libraries_read_one_file_alike(volume: Volume, tmp_path: Any) -> None:
    path = tmp_path / "scan.nii.gz"
    write_nifti(path, volume)
    same(volume, image_of(nib.load(path)))
    same(volume, image_of(library("SimpleITK").ReadImage(str(path))))
    same(volume, image_of(library("torchio").ScalarImage(path)))
    same(volume, image_of(library("monai.transforms").LoadImage(image_only=True)(str(path))))


def test_pictures_are_upright_in_all_libraries(tmp_path: Any) -> None:
    gray = (np.arange(12, dtype=np.uint8) * 20).reshape(3, 4)
    path = str(tmp_path / "chest.png")
    Image.fromarray(gray).save(path)
    np.testing.assert_array_equal(image_of(library("torchio").ScalarImage(path)), gray)
    load = library("monai.transforms").LoadImage
    for channel in (False, True):
        np.testing.assert_array_equal(image_of(load("PILReader", ensure_channel_first=channel)(path)), gray)
    sitk = library("SimpleITK")
    np.testing.assert_array_equal(image_of(sitk.ReadImage(path)), gray)
    one_slice = sitk.JoinSeries([sitk.ReadImage(path)])  # how SimpleITK reads a DICOM radiograph
    np.testing.assert_array_equal(image_of(one_slice), gray)
    with pytest.raises(InputError, match="several components"):
        image_of(sitk.Compose([sitk.ReadImage(path)] * 3))


class Tensor:
    """What image_of knows a MONAI image by, without the library."""

    def __init__(self, array: np.ndarray, affine: np.ndarray) -> None:
        self.array, self.affine, self.meta = array, affine, {"space": "SpaceKeys.LPS"}

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> np.ndarray:
        return self.array


def test_an_object_with_the_documented_attributes_will_do(volume: Volume) -> None:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    same(volume, image_of(Tensor(volume.hu[None], lps)))
    with pytest.raises(InputError, match="one channel"):
        image_of(Tensor(np.stack([volume.hu] * 2), lps))


def test_odd_images_of_nibabel(volume: Volume) -> None:
    same(volume, image_of(nib.Nifti1Image(volume.hu[..., None], volume.affine)))
    colours = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for odd in (np.stack([volume.hu] * 2, axis=-1), colours, volume.hu.astype(np.complex64)):
        with pytest.raises(InputError, match="one channel"):
            image_of(nib.Nifti1Image(odd, np.eye(4)))
    with pytest.raises(InputError, match="infinite"):
        image_of(nib.Nifti1Image(np.full((4, 4, 4), np.inf, np.float32), np.eye(4)))


def test_what_is_no_image_is_left_to_others(volume: Volume) -> None:
    for given in (volume, np.zeros((2, 2)), "chest.png", b"", None):
        assert image_of(given) is None


def test_a_study_is_opened_from_them() -> None:
    """In one call, and the same line integrals as from the volume itself."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (40, 30, 36)), indexing="ij")
    hu = np.where(sum(axis**2 for axis in axes) < 0.8, 20.0, -1000.0)
    volume, geometry = Volume(hu, np.diag([8.0, 8.0, 8.0, 1.0])), preset("chest", 32)
    expected = open_input(volume, geometry).view_p
    assert expected.max() > 1
    images = [nib.Nifti1Image(volume.hu, volume.affine)]
    library("SimpleITK")
    for image in (*images, to_simpleitk(volume)):
        np.testing.assert_allclose(open_input(image, geometry).view_p, expected, atol=1e-5)
