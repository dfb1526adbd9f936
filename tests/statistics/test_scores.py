import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss

from xray2xray.statistics.scores import auprc, brier


def test_auprc_agrees_with_scikit_learn_also_with_ties_and_weights() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    scores = np.round(rng.normal(size=60) + y, 1)
    assert auprc(y, scores) == pytest.approx(average_precision_score(y, scores))
    counts = rng.multinomial(60, np.full(60, 1 / 60), size=4)
    assert auprc(y, scores, counts) == pytest.approx(
        [average_precision_score(y, scores, sample_weight=row) for row in counts]
    )


def test_auprc_of_a_constant_is_the_prevalence_and_of_the_truth_is_one() -> None:
    y = np.array([1, 0, 0, 0, 1])
    assert auprc(y, np.zeros(5)) == pytest.approx(0.4)
    assert auprc(y, y) == 1
    assert np.isnan(auprc(y, y, [[0, 1, 1, 1, 0]])[0])


def test_brier() -> None:
    rng = np.random.default_rng(1)
    y, p = rng.integers(0, 2, 50), rng.random(50)
    assert brier(y, p) == pytest.approx(brier_score_loss(y, p))
    assert brier([1, 0, 0, 0], np.full(4, 0.25)) == pytest.approx(0.25 * 0.75)
