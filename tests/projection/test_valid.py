"""Bodies cut where we know: which rays miss nothing?"""

import numpy as np

from xray2xray.projection.geometry import Pose, preset
from xray2xray.projection.valid import valid_rays
from xray2xray.volume import Volume, read_volume

STEP = 4.0


def _grid(nx: int, ny: int, nz: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = -(np.array([nx, ny, nz]) - 1) / 2 * STEP
    mm = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * STEP for n in (nx, ny, nz)], indexing="ij")
    return affine, mm, np.full((nx, ny, nz), -1000.0, np.float32)


def test_a_whole_body_has_no_invalid_ray():
    affine, (x, y, z), hu = _grid(90, 80, 90)
    hu[(x / 120) ** 2 + (y / 90) ** 2 + (z / 110) ** 2 <= 1] = 0
    assert not (hu[:, :, [0, -1]] > -1000).any()
    valid = valid_rays(Volume(hu, affine), preset(size=64), [-90, 0, 30, Pose(0, 10)])
    shadow = _shadow(120, 90)
    # only above and below the scan itself the body's outline goes on
    assert valid[1][8:-8].all()
    assert valid[:, 32].all()
    assert not valid[1][0, shadow].all()


def _shadow(half_width_mm: float, half_depth_mm: float) -> np.ndarray:
    geometry = preset(size=64)
    edge = half_width_mm * geometry.sdd_mm / (geometry.sod_mm - half_depth_mm)
    return np.abs(geometry.offsets_mm) < 0.9 * edge


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


def test_rays_through_what_the_scanner_circle_cut_off_are_invalid():
    affine, (x, y, _), hu = _grid(90, 90, 60)
    hu[(x / 200) ** 2 + (y / 80) ** 2 <= 1] = 0
    rng = np.random.default_rng(0)
    hu += rng.normal(0, 10, hu.shape).astype(np.float32)
    hu[x**2 + y**2 > 178**2] = -1024
    frontal, lateral = valid_rays(Volume(hu, affine), preset(size=64), [0, 90])
    shoulder = np.abs(preset(size=64).offsets_mm) > 190 * 1800 / 1550
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
