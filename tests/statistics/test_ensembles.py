"""Scores of samples against closed forms, and calibrated samples that must come out calibrated."""

import numpy as np
import pytest
from scipy.stats import norm

from xray2xray.core.errors import InputError
from xray2xray.statistics.ensembles import central_interval, crps, crps_normal, energy_score, pit

RNG = np.random.default_rng(0)


def test_crps_of_two_samples_by_hand() -> None:
    # mean |x - y| = (1 + 2) / 2; mean |x - x'| over the two ordered pairs = 3; half of it off
    assert crps([[0.0], [3.0]], [1.0]) == pytest.approx([1.5 - 1.5])
    assert crps([[2.0], [2.0]], [1.0]) == pytest.approx([1.0]), "without spread: the absolute error"


@pytest.mark.parametrize("count", [2, 5, 50])
def test_crps_is_fair(count: int) -> None:
    """However few the samples, its expectation is that of the distribution they are of."""
    truth = RNG.normal(0.5, 1.0, 200_000 // count)
    samples = RNG.normal(0.0, 2.0, (count, len(truth)))
    expected = crps_normal(0.0, 2.0, truth)
    difference = crps(samples, truth) - expected
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(truth))


def test_crps_of_a_normal_distribution() -> None:
    grid = np.linspace(-12, 14, 400_001)
    for mean, sd, y in ((0.0, 1.0, 0.0), (1.0, 2.0, 3.5), (-0.5, 0.3, 0.4)):
        integral = np.trapezoid((norm.cdf(grid, mean, sd) - (grid >= y)) ** 2, grid)
        assert crps_normal(mean, sd, y) == pytest.approx(integral, abs=1e-4)
    assert crps_normal(1.0, 0.0, 3.0) == pytest.approx(2.0)


def test_energy_score_in_one_dimension_is_the_crps() -> None:
    samples, truth = RNG.normal(size=(7, 1)), RNG.normal(size=1)
    assert energy_score(samples, truth) == pytest.approx(crps(samples, truth)[0])


def test_energy_score_prefers_the_right_dependence() -> None:
    """Same marginals, other correlation: what the score of single pixels cannot see."""
    truths = RNG.normal(size=(2000, 1)) * np.ones(4)
    together = RNG.normal(size=(2000, 20, 1)) * np.ones(4)
    apart = RNG.normal(size=(2000, 20, 4))
    right, wrong = (
        np.mean([energy_score(x, y) for x, y in zip(samples, truths, strict=True)]) for samples in (together, apart)
    )
    assert right < wrong - 0.02


def test_pit_of_a_calibrated_forecast_is_uniform() -> None:
    centre = RNG.normal(size=40_000)
    truth, samples = centre + RNG.normal(size=centre.shape), centre + RNG.normal(size=(9, *centre.shape))
    shares = np.histogram(pit(samples, truth), bins=10, range=(0, 1))[0] / len(truth)
    assert shares == pytest.approx(np.full(10, 0.1), abs=0.007)
    narrow = np.histogram(pit(centre + 0.3 * (samples - centre), truth), bins=10, range=(0, 1))[0]
    assert narrow[0] > 3 * narrow[5] < narrow[9], "too narrow: the truth is at the ends"


def test_pit_breaks_ties_at_random() -> None:
    ties = pit(np.zeros((4, 20_000)), np.zeros(20_000))
    assert ties.mean() == pytest.approx(0.5, abs=0.01)
    assert ties.std() == pytest.approx(12**-0.5, abs=0.01)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("draw", [RNG.normal, RNG.exponential])
def test_intervals_cover_what_they_promise(level: float, draw) -> None:
    samples, truth = draw(size=(39, 40_000)), draw(size=40_000)
    low, high = central_interval(samples, level)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(level, abs=0.006)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(InputError, match="at least two"):
        crps([[1.0]], [1.0])
    with pytest.raises(InputError, match="shape"):
        pit(np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(InputError, match="vectors"):
        energy_score(np.zeros((3, 2, 2)), np.zeros((2, 2)))
