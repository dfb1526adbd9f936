"""Intervals over few patients hold what they say, where the percentile bootstrap does not."""

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from xray2xray.core.errors import InputError
from xray2xray.evaluation.metrics import r2_interval
from xray2xray.statistics.compare_auroc import delong, delong_interval, delong_test
from xray2xray.statistics.intervals import FEW, SHARE, Resamples, mean_interval, patient_contrast, reach
from xray2xray.statistics.resampling import draw_patients, interval

TRIALS = 1500


@pytest.mark.parametrize("n", [3, 4, 6, 9])
def test_coverage_of_the_mean_of_few(n: int) -> None:
    rng = np.random.default_rng(n)
    found = np.array([mean_interval(x) for x in rng.normal(size=(TRIALS, n))])
    covered = ((found[:, 0] <= 0) & (found[:, 1] >= 0)).mean()
    assert covered == pytest.approx(0.95, abs=0.017)  # three standard errors of the simulation


def test_the_percentile_bootstrap_of_four_does_not_cover() -> None:
    """What these intervals were before, and why."""
    rng = np.random.default_rng(0)
    counts = draw_patients(4, 400)
    found = np.array([interval(counts @ x / 4) for x in rng.normal(size=(TRIALS, 4))])
    covered = ((found[:, 0] <= 0) & (found[:, 1] >= 0)).mean()
    assert covered == pytest.approx(0.79, abs=0.03)


@pytest.mark.parametrize("n", [4, 8])
def test_coverage_of_a_ratio_of_few(n: int) -> None:
    """R2 = 1 - sum of errors / sum of null errors; of gamma variables its true value is known."""
    rng = np.random.default_rng(n)
    held = 0
    for _ in range(TRIALS):
        null = rng.gamma(8, 1, (n, 1))
        bounds = r2_interval(null * rng.gamma(16, 0.5 / 16, (n, 1)), null)
        assert bounds is not None
        held += bounds[0] <= 0.5 <= bounds[1]
    assert held / TRIALS > 0.91


def test_of_a_mean_it_is_the_t_interval() -> None:
    x = np.array([1.0, 4.0, 2.0, 7.0, 3.0])
    expected = t.interval(0.95, 4, x.mean(), x.std(ddof=1) / np.sqrt(5))
    assert mean_interval(x) == pytest.approx(expected)
    some = Resamples.of(5)
    assert some.p_value(some.counts @ x / some.counts.sum(axis=1)) == pytest.approx(ttest_1samp(x, 0).pvalue)
    assert mean_interval(x[:2] / 7, within=SHARE) == (0.0, 1.0)


def test_from_ten_on_it_is_the_bootstrap() -> None:
    x = np.random.default_rng(1).normal(size=FEW)
    assert mean_interval(x, 500, seed=3) == pytest.approx(interval(draw_patients(FEW, 500, 3) @ x / FEW))


def test_seeds_add_their_chance_to_few_patients() -> None:
    x, of_seed = np.random.default_rng(2).normal(size=6), np.array([-1.0, 0.0, 1.0])
    some = Resamples.of(6)
    found = some.counts @ x / some.counts.sum(axis=1) + of_seed[:, None]
    error = np.sqrt(x.var(ddof=1) / 6 + of_seed.var(ddof=1) / 3)
    assert some.interval(found) == pytest.approx((x.mean() - 2.5706 * error, x.mean() + 2.5706 * error), abs=1e-4)


def test_patients_with_several_rows_are_left_out_whole() -> None:
    x, patients = np.array([1.0, 3.0, 2.0, 6.0, 5.0]), ["a", "a", "b", "b", "c"]
    sizes = np.array([2, 2, 1])
    totals = np.array([4.0, 8.0, 5.0])
    left_out = (totals.sum() - totals) / (5 - sizes)
    error = np.sqrt(2 * left_out.var())
    bounds, _ = patient_contrast(lambda rows: float(x[rows].mean()), patients)
    assert bounds == pytest.approx((3.4 - 4.3027 * error, 3.4 + 4.3027 * error), abs=1e-3)

    def needs_a(rows: np.ndarray) -> float:
        if 0 not in rows:
            raise InputError("a class is missing")
        return 1.0

    assert patient_contrast(needs_a, patients) == (None, 1.0)


def test_delong_of_few_patients_reaches_as_far_as_t() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    first, second = np.array([1.0, 3, 4, 2, 5, 8, 6, 7]), np.array([2.0, 1, 4, 3, 8, 5, 6, 7])
    (area,), ((variance,),) = delong(labels, first)
    assert reach(8) == pytest.approx(2.36462, abs=1e-5)
    assert reach(20) == pytest.approx(1.95996, abs=1e-5)
    assert delong_interval(labels, first)[1] == pytest.approx(
        (max(0, area - 2.36462 * variance**0.5), min(1, area + 2.36462 * variance**0.5)), abs=1e-5
    )
    found = delong_test(labels, first, second)
    assert found.ci95 is not None
    error = (found.ci95[1] - found.difference) / reach(8)
    assert found.p_value == pytest.approx(2 * t.sf(abs(found.difference) / error, 7))


def test_intervals_that_cannot_be() -> None:
    assert mean_interval([1.0]) is None
    assert mean_interval([]) is None
    some = Resamples.of(3)
    assert some.interval([0.5, 0.4, np.nan, 0.6]) is None
    assert some.p_value([0.5, 0.4, np.nan, 0.6]) == 1
    assert some.p_value([0.0, 0.1, -0.1, 0.0]) == 1
    assert some.p_value([2.0, 2.0, 2.0, 2.0]) == 0
