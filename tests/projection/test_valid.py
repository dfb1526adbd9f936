"""Bodies cut where we know: which rays miss nothing?"""

import numpy as np
import pytest

from xray2xray.projection.geometry import Pose, preset
from xray2xray.projection.valid import valid_rays
from xray2xray.volume import Volume, read_volume

STEP = 4.0


def _grid(nx: int, ny: int, nz: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = -(np.array([nx, ny, nz]) - 1) / 2 * STEP
    mm = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * STEP for n in (nx, ny, nz)], indexing="ij")
    return affine, mm, np.full((nx, ny, nz), -1000.0, np.float32)


@pytest.mark.parametrize("noise_hu", [0.0, 10.0])
@pytest.mark.parametrize("planes", [60, 90])
def test_a_whole_body_has_no_invalid_ray(noise_hu, planes):
    affine, (x, y, z), hu = _grid(90, 80, planes)
    hu[(x / 120) ** 2 + (y / 90) ** 2 + (z / 110) ** 2 <= 1] = 0
    hu += np.random.default_rng(0).normal(0, 1, hu.shape).astype(np.float32) * noise_hu
    assert valid_rays(Volume(hu, affine), preset(size=64), [-90, 0, 30, Pose(0, 10)]).all()


def test_a_cylinder_cut_above_and_below_is_valid_between_the_rays_that_graze_its_ends():
    """Over a radius R before and behind the isocentre a ray at height h covers h (SOD -+ R) / SDD."""
    radius, half = 100.0, 30 * STEP
    affine, (x, y, _), hu = _grid(80, 80, 60)
    hu[x**2 + y**2 <= radius**2] = 0
    geometry = preset(size=64)
    valid = valid_rays(Volume(hu, affine), geometry, [0, 70])
    highest = half * geometry.sdd_mm / (geometry.sod_mm + radius)  # at the far side the ray has risen most
    expected = np.abs(geometry.offsets_mm) < highest
    for view in valid:
        middle = view[:, 30:34].all(axis=1)
        assert np.abs(np.flatnonzero(middle)[[0, -1]] - np.flatnonzero(expected)[[0, -1]]).max() <= 1
        assert view[:, [0, -1]].all()  # beside the cylinder nothing is missing


def test_planes_that_were_left_unscanned_are_missing():
    """A cohort on one grid fills what a short scan has not seen with air."""
    affine, (x, y, z), hu = _grid(80, 80, 60)
    hu[x**2 + y**2 <= 100**2] = 0
    hu += np.random.default_rng(0).normal(0, 10, hu.shape).astype(np.float32)
    hu[np.abs(z) > 60] = -1000
    frontal = valid_rays(Volume(hu, affine), preset(size=64), [0])[0]
    geometry = preset(size=64)
    seen = np.abs(geometry.offsets_mm) < 60 * geometry.sdd_mm / (geometry.sod_mm + 100)
    assert np.abs(np.flatnonzero(frontal[:, 32])[[0, -1]] - np.flatnonzero(seen)[[0, -1]]).max() <= 1


@pytest.mark.parametrize(("radius", "shift"), [(178.0, 0.0), (150.0, 0.0), (150.0, 16.0)])
def test_rays_through_what_the_scanner_circle_cut_off_are_invalid(radius, shift):
    affine, (x, y, _), hu = _grid(96, 96, 60)
    hu[((x - shift) / (radius + 22)) ** 2 + ((y - shift) / 80) ** 2 <= 1] = 0
    hu += np.random.default_rng(0).normal(0, 10, hu.shape).astype(np.float32)
    hu[(x - shift) ** 2 + (y - shift) ** 2 > radius**2] = -1024
    frontal, lateral = valid_rays(Volume(hu, affine), preset(size=64), [0, 90])
    shoulder = np.abs(preset(size=64).offsets_mm) > (radius + 12) * 1800 / 1550
    shoulder &= np.abs(preset(size=64).offsets_mm) < (radius + 20) * 1800 / 1550
    assert not frontal[32, shoulder].any()
    assert frontal[32, 20:44].all()
    assert not lateral[32, 28:36].any()  # along the cut: the way in and the way out are missing


def test_a_real_scan_is_valid_between_its_ends(real_data):
    volume = read_volume(real_data / "ct" / "Lung_Dx-A0001_2mm.nii.gz")
    frontal, lateral = valid_rays(volume, preset(size=64), [0, 90])
    for view in (frontal, lateral):
        assert view[24:40, 16:48].all()
        assert not view[0, 32]
        assert not view[-1, 32]
