"""Counterfactual pairs: the frontal shows one lesion and not the other, the laterals show both."""

import numpy as np
import pytest

from xray2xray.evaluation.counterfactual import make_pair, measure_pair, response
from xray2xray.projection.geometry import preset

GEOMETRY = preset("chest", 64)


class Oracle:
    """Predicts the true laterals; its samples are both of them in turn."""

    sampler = None

    def __init__(self, pair) -> None:
        self.pair = pair

    def imagine(self, view_p, yaw_deg, generator=None, samples=None):
        if samples is not None:
            return np.stack([(self.pair.without_p, self.pair.with_p)[i % 2][1:] for i in range(samples)])
        return np.stack([self.pair.without_p[1:], self.pair.with_p[1:]])


@pytest.fixture(scope="module")
def pairs():
    return {kind: make_pair(1_000_001, kind, GEOMETRY) for kind in ("hidden", "visible")}


def test_only_the_laterals_differ_in_a_hidden_pair(pairs) -> None:
    found = {kind: measure_pair(pair, Oracle(pair), GEOMETRY, 40, 0) for kind, pair in pairs.items()}
    assert found["hidden"].frontal_change < 1 < 10 < found["visible"].frontal_change
    for one in found.values():
        assert one.lateral_p == pytest.approx(0.3, abs=0.05)
        assert one.kept == pytest.approx(1.0)
        assert one.identified
        assert one.spread == pytest.approx(0.5 * np.sqrt(40 / 39), rel=1e-3), "either of two, a lesion apart"
        assert one.spread_elsewhere < 0.5 * one.spread


def test_a_seed_is_a_pair(pairs) -> None:
    again = make_pair(1_000_001, "visible", GEOMETRY)
    assert np.array_equal(again.with_p, pairs["visible"].with_p)


def test_response() -> None:
    shadow = np.random.default_rng(0).normal(size=(2, 8, 8))
    assert response(0.4 * shadow, shadow) == pytest.approx(0.4)
    assert response(np.zeros_like(shadow), shadow) == 0
