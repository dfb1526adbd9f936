"""Calibrated forecasts come out calibrated, and regions do not mix."""

import numpy as np
import pytest

from xray2xray.evaluation.spread import of_normal, of_samples, summarise_endpoint, summarise_marginals

RNG = np.random.default_rng(1)
SHAPE = (2, 60, 60)  # angles, rows, columns


def test_a_calibrated_forecast_of_every_pixel() -> None:
    left = np.zeros((2, *SHAPE), bool)
    left[0, :, :, :30] = left[1, :, :, 30:] = True
    cases = {"sampler": [], "gaussian": []}
    for _ in range(4):
        mean, sd = RNG.normal(size=SHAPE), RNG.uniform(0.5, 2.0, SHAPE)
        truth = mean + sd * RNG.normal(size=SHAPE)
        truth[:, :, 30:] += 5 * sd[:, :, 30:]  # right half: the forecast is wrong
        samples = mean + sd * RNG.normal(size=(39, *SHAPE))
        cases["sampler"].append(of_samples(samples, truth, left))
        cases["gaussian"].append(of_normal(mean, sd, truth, left))
    for name, ones in cases.items():
        found = summarise_marginals(ones, ["good", "bad"], (-90.0, 90.0))
        for level in ("50", "80", "95"):
            assert 100 * found["good"].covered[level] == pytest.approx(float(level), abs=1.5), name
            assert found["bad"].covered[level] < 0.05, name
        assert found["good"].pit == pytest.approx([0.1] * 10, abs=0.012)
        assert found["bad"].pit[-1] > 0.95
        assert found["good"].per_angle["90"].crps < found["bad"].per_angle["90"].crps
        assert found["good"].width["95"] > found["good"].width["50"]


def test_a_region_that_a_view_lacks_counts_nowhere() -> None:
    region = np.zeros((1, *SHAPE), bool)
    region[0, 1] = True
    truth = RNG.normal(size=SHAPE)
    one = of_normal(np.zeros(SHAPE), np.ones(SHAPE), truth, region)
    found = summarise_marginals([one], ["body"], (0.0, 90.0))["body"]
    assert found.per_angle["0"].crps is None
    assert found.crps == pytest.approx(found.per_angle["90"].crps)
    assert found.crps_ci95 is None


def test_bland_and_altman() -> None:
    truth = RNG.normal(100, 10, 4000)
    predicted = truth + RNG.normal(3, 2, 4000)
    samples = predicted - 3 + RNG.normal(0, 2, (39, 4000))
    found = summarise_endpoint(truth, predicted, samples, 2.0)
    assert found.bias == pytest.approx(3, abs=0.15)
    assert found.limits_of_agreement == pytest.approx([3 - 3.92, 3 + 3.92], abs=0.3)
    assert 100 * found.forecasts["sampler"].covered["80"] == pytest.approx(80, abs=2)
    assert found.forecasts["gaussian"].covered["80"] < 0.6, "it does not know of the bias"
