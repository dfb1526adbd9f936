import numpy as np
import pytest

from xray2xray.core.errors import UsageError
from xray2xray.statistics.decision import net_benefit


def test_net_benefit_by_hand() -> None:
    found = net_benefit([1, 0, 1, 0], [0.9, 0.6, 0.2, 0.1], [0.2, 0.5])
    assert found.model == pytest.approx([2 / 4 - 1 / 4 * 0.25, 1 / 4 - 1 / 4 * 1])
    assert found.treat_all == pytest.approx([0.5 - 0.5 * 0.25, 0.0])


def test_net_benefit_of_calibrated_uniform_risks_is_half_of_what_is_left() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(40_000)
    thresholds = np.array([0.1, 0.3, 0.6])
    found = net_benefit(rng.random(len(p)) < p, p, thresholds)
    assert found.model == pytest.approx((1 - thresholds) / 2, abs=0.01)  # integral of p - t (1 - p) / (1 - t) above t
    assert (found.model >= np.maximum(found.treat_all, 0) - 1e-3).all()


def test_thresholds_are_probabilities() -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        net_benefit([1, 0], [0.5, 0.1], [0.5, 1.0])
