"""An attentive probe finds a token wherever it is told to look, survives the disk, and refuses what it should."""

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.core.evidence import RADIOGRAPH
from xray2xray.probing.attentive import AttentiveProbe
from xray2xray.statistics.auroc import auroc
from xray2xray.statistics.concordance import harrell_c

TOKENS, WIDTH = 6, 8


def somewhere(n: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Noise; a positive has a mark in one of its tokens, another one each time; events come sooner with token 2."""
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(n, TOKENS, WIDTH))
    there = rng.random(n) < 0.4
    tokens[np.flatnonzero(there), rng.integers(0, TOKENS, n)[there], :2] += 4
    time = rng.exponential(5 * np.exp(-1.5 * tokens[:, 2, 3]))
    return tokens.reshape(n, -1), {"mark": there.astype(float)}, np.minimum(time, 8), (time <= 8).astype(float)


N = 320
X, LABELS, TIME, EVENT = somewhere(N, 0)
HELD = np.arange(N) >= 240


@pytest.fixture(scope="module")
def fitted() -> AttentiveProbe:
    return AttentiveProbe(WIDTH, "vision", steps=300).fit(X, LABELS, TIME, EVENT, validation=HELD)


def test_marks_are_found_wherever_they_are(fitted: AttentiveProbe) -> None:
    x, labels, time, event = somewhere(300, 1)
    assert auroc(labels["mark"], fitted.predict_proba(x)[:, 0]) > 0.9
    assert harrell_c(time, event, fitted.predict_risk(x)) > 0.6
    assert min(fitted.steps_) > 0


def test_the_same_seed_is_the_same_probe() -> None:
    some = {"mark": LABELS["mark"][:80]}
    one, again = (AttentiveProbe(WIDTH, steps=30).fit(X[:80], some, validation=np.arange(80) >= 60) for _ in range(2))
    np.testing.assert_array_equal(again.predict_proba(X), one.predict_proba(X))


def test_refusals(fitted: AttentiveProbe) -> None:
    with pytest.raises(UsageError, match="refuses a real radiograph"):
        fitted.predict_proba(X, evidence_level=RADIOGRAPH)
    with pytest.raises(UsageError, match="not fitted"):
        AttentiveProbe(WIDTH).predict_proba(X)
    with pytest.raises(InputError, match="no tokens of 7"):
        AttentiveProbe(7).fit(X, LABELS, validation=HELD)
    with pytest.raises(InputError, match="mark: 0 of the 240 training"):
        AttentiveProbe(WIDTH).fit(X, {"mark": np.where(HELD, LABELS["mark"], 0)}, validation=HELD)
    alone = AttentiveProbe(WIDTH, steps=5).fit(X[:100], {"mark": LABELS["mark"][:100]}, validation=np.arange(100) >= 75)
    with pytest.raises(UsageError, match="no times and events"):
        alone.predict_risk(X)
