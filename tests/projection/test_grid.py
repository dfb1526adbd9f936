import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.forward import project
from xray2xray.projection.geometry import Pose, preset
from xray2xray.projection.grid import attenuating_box, axis_aligned, axis_order


def test_the_box_is_as_small_as_what_attenuates():
    mu = np.zeros((9, 8, 7), np.float32)
    mu[2, 3:6, 1], mu[7, 4, 6] = 1, -1
    assert attenuating_box(mu) == (slice(2, 8), slice(3, 6), slice(1, 7))
    assert mu[attenuating_box(np.zeros_like(mu))].size == 0


@pytest.mark.parametrize("backend", ["columns", "rays", "sparse"])
def test_air_around_the_patient_changes_nothing(backend):
    """The reference, which leaves nothing out, sees the same; and a volume of air alone is dark."""
    mu = np.zeros((40, 36, 30), np.float32)
    mu[5:20, 12:30, 9:14] = np.random.default_rng(0).random((15, 18, 5))
    affine = np.array([[-6.0, 0, 0, 117], [0, 7.0, 0, -122], [0, 0, 5.5, -80], [0, 0, 0, 1]])
    geometry, yaw = preset("parallel", 40), [-70.0, 0.0, 45.0, 130.0]
    view, reference = (project(mu, affine, geometry, yaw, backend=b) for b in (backend, "torch"))
    assert np.abs(view - reference).max() < 1e-4 * reference.max()
    assert not project(np.zeros_like(mu), affine, geometry, yaw, backend=backend).any()


def test_axes_are_found_in_any_order_and_direction():
    affine = np.array([[0, -4.0, 0, 90], [3.0, 0, 0, -60], [0, 0, 5.0, -100], [0, 0, 0, 1]])
    grid = axis_aligned(affine)
    assert grid.order == (1, 0, 2)
    assert list(grid.step_mm) == [-4.0, 3.0, 5.0]
    turned = np.eye(4)
    turned[:3, :3] = Pose(10, 5).rotation
    assert axis_aligned(turned) is None
    assert axis_order(turned) == (0, 1, 2)
    with pytest.raises(InputError, match="singular"):
        axis_order(np.diag([1.0, 0, 1, 1]))
