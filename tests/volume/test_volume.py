import time
from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.volume import Volume, body_mask, canonical, isocentre_mm

Chest = Callable[..., Volume]


def test_spacing_and_extent_of_a_rotated_grid() -> None:
    c, s = np.cos(0.3), np.sin(0.3)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([2.0, 3.0, 5.0])
    volume = Volume(np.zeros((4, 5, 6)), affine)
    np.testing.assert_allclose(volume.spacing_mm, [2, 3, 5])
    np.testing.assert_allclose(volume.extent_mm, [8, 15, 30])
    assert volume.hu.dtype == np.float32
    assert volume.hu.flags.c_contiguous


@pytest.mark.parametrize("codes", ["LPS", "SAL", "PIR", "IRA"])
def test_canonical_moves_no_voxel(codes: str) -> None:
    rng = np.random.default_rng(0)
    to_codes = nib.orientations.axcodes2ornt(codes)
    shape = (4, 5, 6)
    ras = np.array([[2, 0.1, 0, -7], [-0.1, 3, 0.2, 11], [0, -0.2, 4, 5], [0, 0, 0, 1]])
    moved = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), to_codes)
    hu = rng.normal(size=shape).astype(np.float32)
    volume = Volume(nib.orientations.apply_orientation(hu, moved), ras @ nib.orientations.inv_ornt_aff(moved, shape))
    assert "".join(nib.aff2axcodes(volume.affine)) == codes
    result = canonical(volume)
    assert nib.aff2axcodes(result.affine) == ("R", "A", "S")
    np.testing.assert_array_equal(result.hu, hu)
    np.testing.assert_allclose(result.affine, ras, atol=1e-12)
    assert result.hu.flags.c_contiguous


def test_canonical_of_canonical_is_the_same_object(chest: Chest) -> None:
    volume = chest()
    assert canonical(volume) is volume


@pytest.mark.parametrize("spacing", [(4.0, 4.0, 4.0), (2.0, 2.0, 5.0)])
@pytest.mark.parametrize("couch", [False, True])
def test_body_is_the_filled_cylinder_without_the_couch(
    chest: Chest, spacing: tuple[float, float, float], couch: bool
) -> None:
    plain, volume = chest(spacing, lungs=False), chest(spacing, couch=couch)
    truth = plain.hu > -500
    mask = body_mask(volume)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.985
    assert mask[volume.hu == -850].all()  # lungs are inside, also where the scan cuts them open


def test_body_mask_follows_the_axes_of_the_volume(chest: Chest) -> None:
    volume = chest((4.0, 4.0, 8.0))
    turned = Volume(volume.hu[::-1].transpose(2, 0, 1), _turned_affine(volume))
    np.testing.assert_array_equal(body_mask(turned), body_mask(volume)[::-1].transpose(2, 0, 1))
    np.testing.assert_allclose(isocentre_mm(turned), isocentre_mm(volume), atol=1e-9)


def _turned_affine(volume: Volume) -> np.ndarray:
    index = np.array([[0, -1, 0, volume.shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    return volume.affine @ index


@pytest.mark.parametrize("spacing", [(4.0, 4.0, 4.0), (2.0, 2.0, 5.0), (3.0, 3.0, 3.0)])
def test_isocentre_is_body_centroid_and_mid_lung(chest: Chest, spacing: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(isocentre_mm(chest(spacing, couch=True)), (10, -20, -10), atol=3.5)


def test_isocentre_of_a_shifted_range_stays_in_the_patient(chest: Chest) -> None:
    volume = chest()
    fewer = Volume(volume.hu[:, :, 6:], volume.affine @ _shift(0, 0, 6))
    np.testing.assert_allclose(isocentre_mm(fewer), isocentre_mm(volume), atol=1e-9)


def _shift(*index: int) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, 3] = index
    return affine


def test_without_lungs_the_middle_of_the_scan(chest: Chest) -> None:
    np.testing.assert_allclose(isocentre_mm(chest(lungs=False)), (10, -20, 0), atol=2)
    air = Volume(np.full((10, 10, 10), -1000.0), np.eye(4))
    np.testing.assert_allclose(isocentre_mm(air), (4.5, 4.5, 4.5))
    assert not body_mask(air).any()


def test_fast_enough_for_every_render(chest: Chest) -> None:
    volume = chest((1.8, 1.8, 1.8))
    start = time.perf_counter()
    body_mask(volume)
    isocentre_mm(volume)
    assert time.perf_counter() - start < 3  # about 0.3 s on one free core


@pytest.mark.parametrize(
    ("hu", "affine", "says"),
    [
        (np.zeros((2, 2)), np.eye(4), "three axes"),
        (np.zeros((0, 2, 2)), np.eye(4), "three axes"),
        (np.full((2, 2, 2), np.nan), np.eye(4), "not finite"),
        (np.zeros((2, 2, 2)), np.diag([1.0, 1, 0, 1]), "singular"),
        (np.zeros((2, 2, 2)), np.diag([1.0, np.nan, 1, 1]), "missing or infinite"),
        (np.zeros((2, 2, 2)), np.eye(3), "missing or infinite"),
        (np.zeros((2, 2, 2)), np.diag([1.0, 1, 1, 2]), "last row"),
        (np.zeros((2, 2, 2)), np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
    ],
)
def test_bad_volumes_are_refused(hu: np.ndarray, affine: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Volume(hu, affine)


def test_small_voxels_are_not_singular() -> None:
    Volume(np.zeros((2, 2, 2)), np.diag([0.01, 0.01, 0.01, 1]))


def test_its_repr_is_one_line():
    volume = Volume(np.linspace(-1000, 500, 24).reshape(2, 3, 4), np.diag([1.0, 2.0, 2.5, 1.0]), "scan.nii.gz")
    assert repr(volume) == "Volume(2 x 3 x 4 voxels of 1 x 2 x 2.5 mm, -1000 to 500 HU, scan.nii.gz)"
