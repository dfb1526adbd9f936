"""A lifted state that is corrected with further views."""

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.frustum import Frustum, march, smear
from xray2xray.projection.geometry import Pose, preset
from xray2xray.projection.lifted import Lifted
from xray2xray.reconstruction.lifted import agreed

FRUSTUM = Frustum(preset("chest", 32), depth=24)
FURTHER = [Pose(90.0), Pose(45.0)]


def blob(depth: float) -> np.ndarray:
    """Portions (24, 40, 48) of a ball whose depth is anywhere from -1 to 1."""
    k, i, j = np.meshgrid(*(np.linspace(-1, 1, n) for n in FRUSTUM.shape), indexing="ij")
    return (0.3 * np.exp(-6 * ((k - depth) ** 2 + i**2 + j**2))).astype(np.float32)


def state_of(portions: np.ndarray) -> Lifted:
    p = portions.sum(axis=0)
    return Lifted(FRUSTUM, p, portions / p)


def views(portions: np.ndarray, poses: list[Pose]) -> np.ndarray:
    return march(portions / FRUSTUM.sample_mm, FRUSTUM, FRUSTUM.geometry, poses)


def test_smear_is_the_transpose_of_march() -> None:
    random = np.random.default_rng(0)
    grid, view = random.random(FRUSTUM.shape, np.float32), random.random((32, 32), np.float32)
    for pose in (Pose(0.0), Pose(90.0), Pose(30.0, pitch_deg=10.0)):
        (there,) = march(grid, FRUSTUM, FRUSTUM.geometry, [pose])
        back = smear(view, FRUSTUM, FRUSTUM.geometry, pose)
        assert np.vdot(there, view) == pytest.approx(np.vdot(grid, back), rel=1e-4)


def test_views_that_the_state_explains_change_nothing() -> None:
    truth = blob(0.2)
    same = agreed(state_of(truth), views(truth, FURTHER), FURTHER)
    np.testing.assert_allclose(same.portions(), truth, atol=2e-4)


def test_a_lateral_tells_how_deep_a_ball_lies() -> None:
    truth, guess = blob(0.3), 0.5 * blob(-0.2) + 0.5 * blob(0.4)
    guess *= truth.sum(axis=0) / guess.sum(axis=0)  # what the frontal has measured
    corrected = agreed(state_of(guess), views(truth, FURTHER[:1]), FURTHER[:1])
    before, after = (np.abs(x - truth).mean() for x in (guess, corrected.portions()))
    assert after < 0.4 * before
    rows, columns = FRUSTUM.detector
    np.testing.assert_allclose(corrected.p[rows, columns], truth.sum(axis=0)[rows, columns], rtol=1e-5)
    np.testing.assert_allclose(corrected.views([0.0])[0], views(truth, [Pose(0.0)])[0], atol=1e-4)


def test_views_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="2 finite views of 32 pixels"):
        agreed(state_of(blob(0.0)), np.zeros((1, 32, 32), np.float32), FURTHER)
    with pytest.raises(InputError, match="finite"):
        agreed(state_of(blob(0.0)), np.full((2, 32, 32), np.nan, np.float32), FURTHER)
