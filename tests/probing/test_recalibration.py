import numpy as np
import pytest
from scipy.special import expit, logit

from xray2xray.core.errors import InputError
from xray2xray.probing.recalibration import Recalibration
from xray2xray.statistics.auroc import auroc
from xray2xray.statistics.calibration import calibration


def overconfident(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities twice as sure as they should be and too high: logit p = 2 logit(true) + 1."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1, n)
    return (rng.random(n) < expit(odds)).astype(int), expit(2 * odds + 1)


def test_the_line_is_found_and_undone_on_other_patients() -> None:
    told = Recalibration.fit(*overconfident(20_000, 0))
    assert told.slope == pytest.approx(0.5, abs=0.03)
    assert told.intercept == pytest.approx(-0.5, abs=0.05)
    labels, predicted = overconfident(20_000, 1)
    before, after = calibration(labels, predicted), calibration(labels, told(predicted))
    assert (before.slope, after.slope) == (pytest.approx(0.5, abs=0.05), pytest.approx(1, abs=0.06))
    assert before.ici > 0.1 > 0.02 > after.ici
    assert after.expected_observed == pytest.approx(1, abs=0.05)
    assert auroc(labels, told(predicted)) == pytest.approx(auroc(labels, predicted))


def test_nothing_is_changed_without_evidence() -> None:
    labels, predicted = overconfident(2000, 4)
    right = expit((logit(predicted) - 1) / 2)
    assert Recalibration.fit(labels, right) == Recalibration(0.0, 1.0)
    too_high = Recalibration.fit(labels, expit(logit(right) + 0.6))
    assert too_high.slope == 1
    assert too_high.intercept == pytest.approx(-0.6, abs=0.15)


def test_on_right_probabilities_a_change_is_asked_for_as_rarely_as_the_test_says() -> None:
    rng = np.random.default_rng(0)
    changed = 0
    for _ in range(200):
        odds = rng.normal(-1, 1, 300)
        changed += Recalibration.fit(rng.random(300) < expit(odds), expit(odds)) != Recalibration(0.0, 1.0)
    assert 2 <= changed <= 22  # of 200: 10 are expected at a level of 5 %


def test_probabilities_that_are_right_stay_and_sure_ones_are_finite() -> None:
    assert Recalibration(0.0, 1.0)([0.0, 0.2, 1.0]) == pytest.approx([0, 0.2, 1], abs=1e-8)
    assert Recalibration(1.0, 2.0)([0.3]) == pytest.approx(expit(1 + 2 * logit(0.3)))


def test_what_cannot_be_put_right_is_refused() -> None:
    with pytest.raises(InputError, match="separate"):
        Recalibration.fit([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    with pytest.raises(InputError, match="all predictions are the same"):
        Recalibration.fit([0, 1, 1], [0.5, 0.5, 0.5])
    with pytest.raises(InputError):
        Recalibration.fit([1, 1, 1], [0.5, 0.4, 0.3])
    for wrong in ([1.5], [np.nan]):
        with pytest.raises(InputError, match="must lie in"):
            Recalibration(0.0, 1.0)(wrong)
