"""backproject is the transpose of project: <A x, y> = <x, A^T y>."""

import numpy as np
import pytest

from xray2xray.errors import InputError
from xray2xray.projection.forward import backproject, project
from xray2xray.projection.geometry import preset

YAW = [-90.0, -60.0, -45.0, 0.0, 20.0, 90.0, 180.0]
OBLIQUE = np.array([[2.9, 0.5, 0, -60], [-0.5, 2.9, 0.3, -50], [0, -0.3, 3.0, -70], [0, 0, 0, 1]])
ALIGNED = np.array([[0, -4.0, 0, 90], [3.0, 0, 0, -60], [0, 0, 5.0, -100], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["chest", "x2ct", "parallel"])
@pytest.mark.parametrize("affine", [ALIGNED, OBLIQUE], ids=["numba", "oblique (torch)"])
def test_dot_product(name, affine):
    """Signs cancel in these sums, so the difference is measured against the size of the vectors."""
    rng = np.random.default_rng(0)
    geometry, isocentre = preset(name, 40), (4.0, -3.0, 9.0)
    shape = (44, 50, 40)
    x = rng.normal(size=shape).astype(np.float32)
    y = rng.normal(size=(len(YAW), 40, 40)).astype(np.float32)
    views = project(x, affine, geometry, YAW, isocentre)
    volume = backproject(y, shape, affine, geometry, YAW, isocentre)
    assert volume.shape == shape
    assert volume.dtype == np.float32
    forward, backward = np.vdot(views.astype(float), y.astype(float)), np.vdot(x.astype(float), volume.astype(float))
    assert abs(forward - backward) < 1e-5 * abs(forward)
    assert abs(forward - backward) < 1e-6 * np.linalg.norm(views) * np.linalg.norm(y)


def test_numba_and_torch_transposes_agree():
    y = np.random.default_rng(1).random((3, 32, 32)).astype(np.float32)
    arguments = (y, (20, 24, 22), ALIGNED, preset(size=32), [-80.0, 10.0, 45.0], (0.0, 0.0, 0.0))
    fast, reference = backproject(*arguments), backproject(*arguments, backend="torch")
    assert np.abs(fast - reference).max() < 1e-4 * reference.max()


def test_views_must_fit_the_geometry():
    with pytest.raises(InputError, match="need as many views"):
        backproject(np.zeros((2, 8, 8)), (4, 4, 4), np.eye(4), preset(size=8), [0.0], (0.0, 0.0, 0.0))
