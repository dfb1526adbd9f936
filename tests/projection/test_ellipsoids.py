import numpy as np
import pytest

from xray2xray.projection.ellipsoids import Ellipsoid, exact_views, voxelise
from xray2xray.projection.geometry import Geometry, preset


def test_a_central_ray_crosses_the_axis():
    pencil = Geometry("pencil", "cone", 1000, 800, 1.0, 1)
    body = Ellipsoid((5.0, 0.0, 2.0), (30.0, 50.0, 40.0), 0.02)
    views = exact_views([body], pencil, [0, 90], (5.0, 0.0, 2.0))
    assert np.allclose(views.ravel(), [0.02 * 100, 0.02 * 60])


def test_a_turned_ellipsoid_is_one_with_its_axes_swapped():
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    geometry = preset(size=32)
    turned = exact_views([Ellipsoid((10, 0, 0), (30, 60, 40), 0.02, quarter)], geometry, [0, 50], (0, 0, 0))
    swapped = exact_views([Ellipsoid((10, 0, 0), (60, 30, 40), 0.02)], geometry, [0, 50], (0, 0, 0))
    assert np.allclose(turned, swapped)


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_voxels_hold_the_right_amount_in_the_right_place(angle):
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.diag([4.0, 5.0, 6.0, 1.0])
    affine[:3, 3] = [-100, -110, -130]
    body = Ellipsoid((8.0, -9.0, 3.0), (35.0, 60.0, 50.0), 0.02, turn)
    mu = voxelise([body], (52, 46, 44), affine)
    amount = mu.sum(dtype=float) * 4 * 5 * 6
    assert amount == pytest.approx(0.02 * 4 / 3 * np.pi * 35 * 60 * 50, rel=1e-3)
    index = np.stack(np.meshgrid(*map(np.arange, mu.shape), indexing="ij"), -1).reshape(-1, 3)
    centre = np.average(index, axis=0, weights=mu.ravel()) @ affine[:3, :3].T + affine[:3, 3]
    assert np.allclose(centre, body.centre_mm, atol=0.02)
    assert mu.max() == pytest.approx(0.02, rel=1e-5)


def test_an_ellipsoid_outside_the_grid_leaves_no_trace():
    assert not voxelise([Ellipsoid((500, 0, 0), (30, 30, 30), 1.0)], (8, 8, 8), np.eye(4)).any()
