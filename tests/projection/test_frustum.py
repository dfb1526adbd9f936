"""A grid along the rays of one view: where its cells are, and what rays of other poses meet in it."""

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.frustum import Frustum, march
from xray2xray.projection.geometry import Geometry, Pose, preset, rays_mm

SIZE = 64
VIEWS = [Pose(0.0), Pose(90.0), Pose(35.0), Pose(180.0), Pose(20.0, 8.0, -5.0, (4.0, 3.0, -6.0))]


def ball(frustum: Frustum, radius_mm: float = 60.0, edge_mm: float = 30.0) -> np.ndarray:
    """A ball of one per mm with a soft edge, in the frustum's cells."""
    distance = np.linalg.norm(frustum.points_mm(), axis=0)
    return np.clip(0.5 + (radius_mm - distance) / edge_mm, 0, 1)


def chords_mm(geometry: Geometry, pose: Pose, radius_mm: float = 60.0, edge_mm: float = 30.0) -> np.ndarray:
    """What a ray loses in that ball: the soft edge is a mean over radii, each a chord of 2 sqrt(r^2 - d^2)."""
    begin, end = rays_mm(geometry, pose)
    along = (end - begin) / np.linalg.norm(end - begin, axis=-1, keepdims=True)
    distance = np.linalg.norm(begin - (begin * along).sum(-1, keepdims=True) * along, axis=-1)
    radii = radius_mm + edge_mm * (np.arange(400) + 0.5 - 200) / 400
    return np.mean([2 * np.sqrt(np.maximum(r**2 - distance**2, 0)) for r in radii], axis=0)


@pytest.mark.parametrize("name", ["chest", "xwin", "parallel"])
@pytest.mark.parametrize("pose", VIEWS, ids=str)
def test_a_ball_casts_its_chords_at_every_pose(name: str, pose: Pose) -> None:
    frustum = Frustum(preset(name, SIZE))
    grid = ball(frustum) * frustum.h[:, None, None] ** 2
    (found,) = march(grid, frustum, frustum.geometry, [pose])
    expected = chords_mm(frustum.geometry, pose)
    assert np.abs(found - expected).max() < 0.03 * expected.max()
    assert abs(found.sum() / expected.sum() - 1) < 0.005


def test_another_set_and_a_turned_frustum_see_the_same_ball() -> None:
    frustum = Frustum(preset("chest", SIZE), Pose(180.0, 3.0, 2.0, (5.0, 0.0, 2.0)))
    other = preset("x2ct", SIZE)
    (found,) = march(ball(frustum) * frustum.h[:, None, None] ** 2, frustum, other, [Pose(70.0)])
    expected = chords_mm(other, Pose(70.0))
    assert np.abs(found - expected).max() < 0.03 * expected.max()


@pytest.mark.parametrize("name", ["chest", "parallel"])
def test_the_view_itself_is_the_sum_over_depth(name: str) -> None:
    frustum = Frustum(preset(name, SIZE), Pose(15.0, 2.0, 1.0))
    grid = np.random.default_rng(0).random(frustum.shape).astype(np.float32)
    (found,) = march(grid, frustum, frustum.geometry, [frustum.pose])
    expected = (grid.sum(axis=0) * frustum.sample_mm)[frustum.detector]
    np.testing.assert_allclose(found, expected, rtol=2e-4)


def test_cells_lie_on_the_rays_of_their_pixels() -> None:
    frustum = Frustum(preset("chest", SIZE), Pose(30.0, 4.0, 1.0, (1.0, 2.0, 3.0)), depth=8)
    points = frustum.points_mm()[:, :, *frustum.detector]
    begin, end = (x.transpose(2, 0, 1)[:, None] for x in rays_mm(frustum.geometry, frustum.pose))
    along = (end - begin) / np.linalg.norm(end - begin, axis=0)
    off = np.linalg.norm(np.cross(points - begin, along, axis=0), axis=0)
    assert off.max() < 1e-2
    indices = (
        np.einsum("ab,bkij->akij", frustum.matrix[:, :3], frustum.points_mm()) + frustum.matrix[:, 3, None, None, None]
    )
    np.testing.assert_allclose((indices[:3] / indices[3])[0, :, 0, 0], np.arange(8), atol=1e-3)


def test_planes_fill_the_isocentre_plus_and_minus_half_the_depth() -> None:
    frustum = Frustum(preset("chest", SIZE), depth=1000, half_depth_mm=150.0)
    y_mm = frustum.points_mm()[1, :, 0, 0]
    assert y_mm[0] == pytest.approx(-150, abs=0.5)
    assert y_mm[-1] == pytest.approx(150, abs=0.5)


def test_refused() -> None:
    with pytest.raises(InputError, match="multiple of 8"):
        Frustum(preset("chest", 60))
    with pytest.raises(InputError, match="source"):
        Frustum(preset("x2ct", 64), half_depth_mm=600.0)
