"""backproject is the transpose of project: <A x, y> = <x, A^T y>, for every backend."""

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.forward import backproject, project
from xray2xray.projection.geometry import Pose, preset

YAW = [-90.0, -60.0, -45.0, 0.0, 20.0, 90.0, 180.0]
TILTED = [Pose(20, 15, 10), Pose(-70, -25, 0, (10, -20, 30)), Pose(0, 80), Pose(45, 0, 60, (0, 5, 0)), Pose(180, -50)]
OBLIQUE = np.array([[2.9, 0.5, 0, -60], [-0.5, 2.9, 0.3, -50], [0, -0.3, 3.0, -70], [0, 0, 0, 1]])
ALIGNED = np.array([[0, -4.0, 0, 90], [3.0, 0, 0, -60], [0, 0, 5.0, -100], [0, 0, 0, 1]])
HEAD_FIRST = np.array([[-3.0, 0, 0, 60], [0, 0, 4.0, -80], [0, -5.0, 0, 125], [0, 0, 0, 1]])

CASES = [
    *[("columns", name, affine, YAW) for name in ("chest", "x2ct", "parallel") for affine in (ALIGNED, HEAD_FIRST)],
    *[("sparse", "parallel", affine, YAW) for affine in (ALIGNED, HEAD_FIRST)],
    *[("rays", name, affine, TILTED) for name in ("chest", "x2ct", "parallel") for affine in (ALIGNED, OBLIQUE)],
    ("torch", "chest", OBLIQUE, TILTED),
]


@pytest.mark.parametrize(("backend", "name", "affine", "poses"), CASES)
@pytest.mark.parametrize("size", [9, 40, 120])
def test_dot_product(backend, name, affine, poses, size):
    """Of noise, whose signs cancel, against the size of the vectors; of densities against the product itself."""
    if backend == "torch" and size > 40:
        pytest.skip("slow, and no other code than at 40")
    rng = np.random.default_rng(0)
    geometry, isocentre, shape = preset(name, size), (4.0, -3.0, 9.0), (44, 50, 40)
    for sign in (0.0, 3.0):
        x = rng.normal(sign, size=shape).astype(np.float32)
        y = rng.normal(sign, size=(len(poses), size, size)).astype(np.float32)
        views = project(x, affine, geometry, poses, isocentre, backend)
        volume = backproject(y, shape, affine, geometry, poses, isocentre, backend)
        assert volume.shape == shape
        assert volume.dtype == views.dtype == np.float32
        forward, backward = (
            np.vdot(views.astype(float), y.astype(float)),
            np.vdot(x.astype(float), volume.astype(float)),
        )
        assert abs(forward - backward) < 1e-6 * np.linalg.norm(views) * np.linalg.norm(y)
        if sign:
            assert abs(forward - backward) < 1e-5 * abs(forward)


@pytest.mark.parametrize("poses", [YAW, TILTED], ids=["upright", "tilted"])
def test_transposes_agree_with_the_reference(poses):
    y = np.random.default_rng(1).random((len(poses), 32, 32)).astype(np.float32)
    arguments = (y, (20, 24, 22), ALIGNED, preset(size=32), poses)
    fast, reference = backproject(*arguments), backproject(*arguments, backend="torch")
    assert np.abs(fast - reference).max() < 1e-4 * reference.max()


@pytest.mark.parametrize("backend", ["columns", "rays"])
def test_threads_agree(backend):
    y = np.random.default_rng(2).random((len(YAW), 24, 24)).astype(np.float32)
    arguments = (y, (20, 24, 22), ALIGNED, preset(size=24), YAW, (0.0, 0.0, 0.0), backend)
    one, three = (backproject(*arguments, threads=n) for n in (1, 3))
    assert np.allclose(one, three, atol=1e-5 * one.max())


def test_no_view_gives_an_empty_volume():
    for backend in ("columns", "rays", "torch"):
        volume = backproject(np.zeros((0, 8, 8)), (4, 5, 6), np.eye(4), preset(size=8), [], backend=backend)
        assert volume.shape == (4, 5, 6)
        assert not volume.any()


def test_views_must_fit_the_geometry():
    with pytest.raises(InputError, match="need as many views"):
        backproject(np.zeros((2, 8, 8)), (4, 4, 4), np.eye(4), preset(size=8), [0.0])
