import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from xray2xray.core.errors import InputError, UsageError
from xray2xray.statistics.calibration import calibration, reliability, smooth_curve


def outcomes(n: int, intercept: float, slope: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, predictions and the true risks, whose log odds are intercept + slope times the predicted ones."""
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(-1, 1, n))
    truth = expit(intercept + slope * logit(p))
    return (rng.random(n) < truth).astype(int), p, truth


def test_slope_and_intercept_are_those_of_logistic_regressions() -> None:
    y, p, _ = outcomes(400, -0.5, 0.6)
    found = calibration(y, p)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(p)[:, None], y)
    assert found.slope == pytest.approx(reference.coef_[0, 0], abs=1e-5)
    assert expit(found.intercept + logit(p)).sum() == pytest.approx(y.sum())  # the likelihood equation with slope 1
    assert found.expected_observed == pytest.approx(p.sum() / y.sum())


@pytest.mark.parametrize(("intercept", "slope"), [(0.0, 1.0), (-0.7, 1.0), (0.3, 0.5)])
def test_a_planted_miscalibration_is_recovered(intercept: float, slope: float) -> None:
    y, p, truth = outcomes(40_000, intercept, slope)
    found = calibration(y, p)
    assert found.slope == pytest.approx(slope, abs=0.05)
    assert found.ici == pytest.approx(np.mean(np.abs(p - truth)), abs=0.006)
    assert found.expected_observed == pytest.approx(p.mean() / truth.mean(), abs=0.03)
    if slope == 1:
        assert found.intercept == pytest.approx(intercept, abs=0.05)


def test_the_curve_bends_where_no_slope_could() -> None:
    rng = np.random.default_rng(3)
    p = expit(rng.normal(0, 1.2, 20_000))
    truth = expit(0.4 * logit(p) ** 2 - 1)  # high at both ends: the slope is 0 and says nothing
    y = (rng.random(len(p)) < truth).astype(int)
    middle = (p > 0.1) & (p < 0.9)
    assert np.abs(smooth_curve(y, p) - truth)[middle].mean() < 0.03
    assert calibration(y, p).ici == pytest.approx(np.mean(np.abs(p - truth)), abs=0.02)


def test_the_curve_is_straight_beyond_the_outer_knots() -> None:
    x = np.linspace(-4, 4, 401)
    y = np.random.default_rng(5).random(401) < expit(0.3 * x**2 - 1)
    bend = np.diff(logit(smooth_curve(y, expit(x))), n=2)
    assert np.abs(bend[[*range(18), *range(-18, 0)]]).max() < 1e-9  # knots are at 5 and 95 %
    assert np.abs(bend[180:220]).min() > 1e-6


def test_predictions_without_a_slope_are_refused() -> None:
    with pytest.raises(InputError, match="all predictions are the same"):
        calibration([0, 1, 1], [0.5, 0.5, 0.5])
    with pytest.raises(InputError, match="all predictions are the same"):
        smooth_curve([0, 1, 1, 0], [0.5] * 4)
    with pytest.raises(InputError, match="separate the classes perfectly"):
        calibration([0, 0, 1], [0.1, 0.2, 0.7])


def test_a_handful_of_distinct_predictions_gives_their_event_rates() -> None:
    p = np.repeat([0.2, 0.6], 10)
    y = np.r_[np.zeros(7), np.ones(3), np.zeros(5), np.ones(5)]
    assert smooth_curve(y, p) == pytest.approx(np.repeat([0.3, 0.5], 10))
    assert calibration(y, p).ici == pytest.approx(0.1)


def test_reliability_counts_and_intervals() -> None:
    y, p, _ = outcomes(105, 0, 1, seed=4)
    found = reliability(y, p, groups=10)
    assert found.patients.sum() == 105
    assert np.ptp(found.patients) <= 1
    assert (np.diff(found.predicted) > 0).all()
    assert found.observed @ found.patients == pytest.approx(y.sum())
    for i, n in enumerate(found.patients):
        wilson = binomtest(round(found.observed[i] * n), int(n)).proportion_ci(method="wilson")
        assert (found.low[i], found.high[i]) == pytest.approx((wilson.low, wilson.high), abs=1e-6)
    with pytest.raises(UsageError, match="200 groups"):
        reliability(y, p, groups=200)
