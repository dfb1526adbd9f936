"""The judgement's figures."""

import numpy as np
import pytest

from xray2xray.experiments.lifting.cohort import CELLS, FRUSTUM
from xray2xray.experiments.lifting.evaluate import FAR, FRONTAL, figures, from_portions, power_db


def test_far_and_near_leave_the_input_out() -> None:
    truth = np.full((37, 32, 32), 2.0, np.float32)
    predicted = truth.copy()
    predicted[FAR] += 1.0  # a tenth of the scale: 20 dB
    found = figures(predicted + 1e-3 * np.random.default_rng(0).random(truth.shape).astype(np.float32), truth)
    assert found["psnr_far"] == pytest.approx(20, abs=0.1)
    assert found["psnr_near"] > 60
    assert FAR.sum() == 26
    assert not FAR[FRONTAL]


def test_power_of_half_the_contrast_is_six_decibels_less() -> None:
    truth = 3 + np.random.default_rng(0).random((4, 128, 128)).astype(np.float32)
    assert power_db(truth, truth) == [0, 0, 0]
    assert power_db(3 + (truth - 3) / 2, truth) == pytest.approx([-6.02] * 3, abs=0.01)


def test_portions_are_scaled_to_the_view() -> None:
    rng = np.random.default_rng(0)
    view = rng.random((FRUSTUM.geometry.size,) * 2).astype(np.float32)
    state = from_portions(rng.random(FRUSTUM.at(CELLS).shape).astype(np.float32), view)
    np.testing.assert_allclose(state.views([0.0])[0], view, rtol=1e-4, atol=1e-5)
