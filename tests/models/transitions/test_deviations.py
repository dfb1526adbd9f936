"""Chests as they deviate from what is expected of them."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.models.transitions.deviations import Deviations, deviation_of, deviations_of
from xray2xray.projection.frustum import Frustum
from xray2xray.projection.geometry import preset
from xray2xray.projection.lifted import Lifted

FRUSTUM = Frustum(preset("chest", 64), depth=16)
CELLS = (16, 40, 48)


def state(seed: int = 0) -> Lifted:
    rng = np.random.default_rng(seed)
    w = rng.random(CELLS).astype(np.float32)
    return Lifted(FRUSTUM, rng.random(FRUSTUM.shape[1:]).astype(np.float32), w / w.sum(axis=0))


def drawn(deviations: Deviations, count: int, strength: float) -> np.ndarray:
    generator = torch.Generator().manual_seed(0)
    return np.stack([deviations.sample(state(), generator, strength).w for _ in range(count)])


def test_as_expected_is_no_deviation() -> None:
    portions = state().portions()
    assert np.abs(deviation_of(portions, portions)).max() == 0
    np.testing.assert_allclose(deviation_of(2 * portions + 1e-3, portions), np.log(2), atol=1e-5)
    assert deviation_of(9 * portions, portions).max() == 1, "limited"


def test_samples_keep_every_line_integral_and_nothing_comes_from_nothing() -> None:
    rng = np.random.default_rng(1)
    found = drawn(Deviations(rng.normal(size=(3, 4, 10, 12)).astype(np.float32)), 4, 1.0)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found >= 0).all()
    assert np.abs(found - state().w).max() > 0.01
    empty = Lifted(FRUSTUM, state().p, np.zeros(CELLS, np.float32))
    sample = Deviations(np.ones((1, 4, 10, 12), np.float32)).sample(empty, torch.Generator().manual_seed(0))
    assert not sample.w.any()


def test_no_strength_is_the_expected_chest() -> None:
    found = drawn(Deviations(np.ones((2, 4, 10, 12), np.float32)), 1, 0.0)
    np.testing.assert_allclose(found[0], state().w, rtol=1e-5)


def test_the_spread_is_that_of_the_deviations() -> None:
    """Of one deviation in half of the planes: the odds of the halves vary with its standard deviation."""
    logs = np.zeros((1, 4, 10, 12), np.float32)
    logs[:, :2] = 0.3
    found = drawn(Deviations(logs), 400, 1.0)
    odds = np.log(found[:, 0] / found[:, -1])
    assert odds.std(axis=0).mean() == pytest.approx(0.3, rel=0.1)
    assert odds.mean() == pytest.approx(np.log(state().w[0] / state().w[-1]).mean(), abs=0.05)


def test_other_cells_are_refused() -> None:
    portions = state().portions()
    with pytest.raises(InputError, match="cells"):
        deviations_of([(portions, portions)]).sample(state(), torch.Generator())
