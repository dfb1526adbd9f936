"""The lifted state: it keeps the view it was lifted from, and shows the same chest from elsewhere."""

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.frustum import Frustum
from xray2xray.projection.geometry import Pose, preset
from xray2xray.projection.lifted import Lifted, extended, true_portions
from xray2xray.projection.render import render
from xray2xray.volume import Volume, body_mask, isocentre_mm
from xray2xray.volume.attenuation import hu_to_mu

SIZE = 64


@pytest.fixture(scope="module")
def chest() -> Volume:
    """A body of water with two lungs and a rod of bone, on a grid of 4 mm."""
    x, y, z = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * 4.0 for n in (80, 64, 72)], indexing="ij")
    hu = np.full(x.shape, -1000.0, np.float32)
    hu[(x / 145) ** 2 + (y / 100) ** 2 < 1] = 20
    for side in (-60, 60):
        hu[((x - side) / 45) ** 2 + (y / 65) ** 2 + (z / 110) ** 2 < 1] = -800
    hu[(x**2 + (y + 60) ** 2 < 15**2)] = 500
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -(np.array(hu.shape) - 1) / 2 * 4.0
    return Volume(hu, affine)


@pytest.mark.parametrize("pose", [Pose(0.0), Pose(180.0)], ids=["PA", "AP"])
def test_true_portions_show_the_scan_from_every_side(chest: Volume, pose: Pose) -> None:
    frustum = Frustum(preset("chest", SIZE), pose)
    (given,) = render(chest, frustum.geometry, [pose])
    portions = true_portions(chest, frustum)
    state = Lifted(frustum, extended(given, frustum, portions.sum(axis=0)), portions)
    poses = [Pose(90.0), Pose(-40.0), Pose(10.0, 5.0, 3.0)]
    found, expected = state.views(poses), render(chest, frustum.geometry, poses)
    error = np.square(np.clip(found, 0, 10) - np.clip(expected, 0, 10)).mean(axis=(1, 2))
    assert (10 * np.log10(100 / error) > 36).all()


def test_the_given_view_comes_back_whatever_the_depths_are() -> None:
    rng = np.random.default_rng(0)
    frustum = Frustum(preset("chest", SIZE), Pose(12.0))
    given = rng.random((SIZE, SIZE)).astype(np.float32) * 6
    _, rows, columns = frustum.shape
    w = rng.random((frustum.depth, rows // 2, columns // 2)).astype(np.float32)
    state = Lifted(frustum, extended(given, frustum), w)
    np.testing.assert_allclose(state.views([frustum.pose])[0], given, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state.shares().sum(axis=0), 1, rtol=1e-5)


def test_air_stays_air_and_beyond_the_detector_is_what_was_predicted() -> None:
    frustum = Frustum(preset("chest", SIZE), depth=4)
    _, rows, columns = frustum.shape
    beyond = np.full((rows // 2, columns // 2), 3.0, np.float32)
    p = extended(np.zeros((SIZE, SIZE), np.float32), frustum, beyond)
    assert p[frustum.detector].max() == 0
    assert p[0, 0] == 3
    portions = Lifted(frustum, p, np.zeros((4, rows // 2, columns // 2), np.float32)).portions()
    assert portions[:, *frustum.detector].max() == 0
    np.testing.assert_allclose(portions[:, 0, 0], 0.75)


def test_attenuation_on_a_cartesian_grid_is_that_of_the_scan(chest: Volume) -> None:
    frustum = Frustum(preset("chest", SIZE))
    portions = true_portions(chest, frustum)
    state = Lifted(frustum, portions.sum(axis=0), portions)
    affine = chest.affine.copy()
    affine[:3, 3] -= isocentre_mm(chest)
    found, expected = state.sampled_mu(chest.shape, affine), hu_to_mu(chest.hu, body_mask(chest))
    inside = np.zeros(chest.shape, bool)
    inside[10:-10, 14:-14, 12:-12] = True
    assert np.median(np.abs(found - expected)[inside]) < 0.01 * expected[inside].mean()
    assert found[inside].mean() == pytest.approx(expected[inside].mean(), rel=0.01)


def test_refused() -> None:
    frustum = Frustum(preset("chest", SIZE), depth=4)
    _, rows, columns = frustum.shape
    with pytest.raises(InputError, match="depth distribution"):
        Lifted(frustum, np.zeros((rows, columns), np.float32), np.zeros((5, rows, columns), np.float32))
    with pytest.raises(InputError, match="line integrals"):
        Lifted(frustum, np.zeros((SIZE, SIZE), np.float32), np.zeros((4, rows, columns), np.float32))
