import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.statistics.calibration import calibration
from xray2xray.statistics.checks import binary, follow_up
from xray2xray.statistics.concordance import harrell_c, uno_c
from xray2xray.statistics.dynamic_auroc import auroc_at
from xray2xray.statistics.scores import auprc, brier


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([1, 1, 1], [0.1, 0.2, 0.3], "all 3 labels are 1"),
        ([0, 0], [0.1, 0.2], "all 2 labels are 0"),
        ([0, 1, 1], [0.1, 0.2], "one length"),
        ([[0, 1]], [[0.1, 0.2]], "vectors"),
        ([0, 1], [0.1, np.nan], "NaN"),
        ([0, np.nan], [0.1, 0.2], "NaN"),
        ([0, 2], [0.1, 0.2], r"0 or 1, got \[2.0\]"),
    ],
)
def test_labels_and_scores_are_refused_in_words(labels: list, scores: list, words: str) -> None:
    for statistic in (binary, auprc, brier, calibration):
        with pytest.raises(InputError, match=words):
            statistic(labels, scores)


def test_probabilities_beyond_one_are_refused() -> None:
    for statistic in (brier, calibration):
        with pytest.raises(InputError, match=r"\[0, 1\], got -0.5 to 0.2"):
            statistic([0, 1], [-0.5, 0.2])


@pytest.mark.parametrize(
    ("time", "event", "words"),
    [
        ([1, 2, 3], [0, 0, 0], "none of 3 patients had the event"),
        ([1, 2, 3], [0, 2, 0], "none of 3 patients had the event"),
        ([1, 2], [1], "one length"),
        ([1, -2], [1, 0], "must not be negative, got -2"),
        ([1, np.nan], [1, 0], "NaN"),
        ([1, 2], [1, np.nan], "NaN"),
        ([1, 2], [1, 0.5], "0 .censored., 1"),
        ([1, 2], [1, -1], "0 .censored., 1"),
        ([], [], "none of 0"),
    ],
)
def test_follow_up_is_refused_in_words(time: list, event: list, words: str) -> None:
    risk = np.zeros(len(time))
    with pytest.raises(InputError, match=words):
        follow_up(time, event)
    for statistic in (harrell_c, uno_c, lambda t, e, r: auroc_at(t, e, r, [1.0])):
        with pytest.raises(InputError, match=words):
            statistic(time, event, risk)
