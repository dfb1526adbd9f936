import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.statistics.auroc import auroc
from xray2xray.statistics.dynamic_auroc import auroc_at


def test_ties_count_half_and_a_draw_of_one_class_is_nan() -> None:
    assert auroc([0, 1, 1, 0], [0.1, 0.9, 0.5, 0.5]) == pytest.approx(3.5 / 4)
    assert np.isnan(auroc([0, 1], [0.1, 0.9], [[0, 2], [2, 0]])).all()


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([0, 1, 1], [0.1, np.nan, 0.2], "NaN"),
        ([0, 1, np.nan], [0.1, 0.3, 0.2], "NaN"),
        ([1, 1, 1], [0.1, 0.3, 0.2], "two classes are needed"),
        ([0, 1], [0.1, 0.3, 0.2], "vectors of one length"),
        ([0, 2, 2], [0.1, 0.3, 0.2], "labels must be 0 or 1"),
        ([], [], "two classes are needed"),
    ],
)
def test_what_has_no_auroc_is_refused(labels: list[float], scores: list[float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        auroc(labels, scores)


def test_a_horizon_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        auroc_at([1, 2, 3], [1, 0, 0], [3, 2, 1], [np.nan])
