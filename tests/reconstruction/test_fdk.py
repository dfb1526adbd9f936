import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.ellipsoids import Ellipsoid, exact_views
from xray2xray.projection.geometry import STANDARD_ARC, Pose, preset
from xray2xray.reconstruction.fdk import view_weights
from xray2xray.reconstruction.reconstruct import reconstruct
from xray2xray.volume.attenuation import hu_to_mu

FULL_TURN = np.arange(0, 360, 3.0)


@pytest.mark.parametrize(("name", "yaw"), [("chest", FULL_TURN), ("xwin", FULL_TURN), ("parallel", FULL_TURN[:60])])
def test_a_ball_has_its_attenuation(name, yaw):
    """From exact views; off the axis, where the weights of the cone matter."""
    ball, geometry = Ellipsoid((40, -30, 20), (70, 70, 70), 0.02), preset(name, 64)
    views = exact_views([ball], geometry, yaw, (0, 0, 0))
    found = reconstruct(views, geometry, yaw, 64, method="fdk", find_body=False, show_progress=False)
    mu, affine = hu_to_mu(found.volume.hu), found.volume.affine
    index = np.stack(np.meshgrid(*map(np.arange, mu.shape), indexing="ij"), axis=-1)
    far = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3] - ball.centre_mm, axis=-1)
    assert mu[far < 50].mean() == pytest.approx(0.02, rel=0.01)
    assert mu[far < 50].std() < 0.0004
    assert mu[(far > 90) & (far < 110)].mean() < 0.0006
    # half of the ball's attenuation is where its surface is
    assert mu[np.abs(far - 70) < 1.5].mean() == pytest.approx(0.01, rel=0.1)


def test_views_share_half_a_turn():
    assert view_weights(np.arange(0, 360, 5.0)) == pytest.approx(np.deg2rad(2.5))
    assert view_weights(np.arange(0, 180, 5.0)) == pytest.approx(np.deg2rad(5))
    standard = view_weights(np.array(STANDARD_ARC))
    assert standard[1:-1] == pytest.approx(np.deg2rad(5))
    assert standard[[0, -1]] == pytest.approx(np.deg2rad(2.5))  # one view from either end
    assert view_weights(np.array([7.0])) == pytest.approx(np.pi)
    uneven = view_weights(np.array([0.0, 30.0, 90.0, 200.0, 310.0]))
    assert uneven.sum() == pytest.approx(np.pi)


def test_what_was_not_seen_is_not_made_up_for():
    weights = view_weights(np.arange(-30, 31, 5.0))
    assert weights[1:-1] == pytest.approx(np.deg2rad(5))
    assert weights[0] == pytest.approx(np.deg2rad(7.5))


def test_a_second_pass_explains_the_views_better(chest_scan, chest_ellipsoids):
    geometry = preset(size=48)
    views = exact_views(chest_ellipsoids, geometry, STANDARD_ARC, (0, 0, 0))
    once = reconstruct(views, geometry, STANDARD_ARC, 48, method="fdk", show_progress=False)
    again = reconstruct(views, geometry, STANDARD_ARC, 48, method="fdk", initial=once.volume, show_progress=False)
    assert again.residuals[0] < 0.7 * once.residuals[0]


def test_the_source_has_to_stay_on_its_circle():
    with pytest.raises(InputError, match="circle"):
        reconstruct(np.ones((1, 8, 8)), preset(size=8), [Pose(0, 5)], 8, method="fdk", show_progress=False)
