import numpy as np
import pytest

from xray2xray.statistics.life_tables import aalen_johansen, kaplan_meier, still_observed

# Freireich et al. (1963): weeks of remission with 6-mercaptopurine
WEEKS = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35])
RELAPSE = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0])


def test_kaplan_meier_as_published() -> None:
    found = kaplan_meier(WEEKS, RELAPSE)
    assert found.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert found.values == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4)
    assert found.at([0, 5.9, 6, 100]) == pytest.approx([1, 1, 0.857, 0.448], abs=5e-4)
    assert found.before([6, 7]) == pytest.approx([1, 0.857], abs=5e-4)


def test_aalen_johansen_by_hand() -> None:
    found = aalen_johansen([1, 2, 2, 3, 4], [1, 2, 0, 1, 0])
    # at risk 5, 4, 2: event 1/5; other 1/4 of 4/5 left; event 1/2 of 3/5 left
    assert found.at([0.5, 1, 2, 3, 9]) == pytest.approx([0, 0.2, 0.2, 0.5, 0.5])
    assert aalen_johansen([1, 2, 2, 3, 4], [1, 2, 0, 1, 0], cause=2).at(4) == pytest.approx(0.2)


def test_causes_and_the_free_add_up() -> None:
    rng = np.random.default_rng(0)
    time, event = rng.integers(1, 12, 80), rng.integers(0, 3, 80)
    t = np.arange(13)
    total = kaplan_meier(time, event).at(t) + aalen_johansen(time, event).at(t) + aalen_johansen(time, event, 2).at(t)
    assert total == pytest.approx(np.ones(13))
    assert aalen_johansen(time, event > 0).at(t) == pytest.approx(1 - kaplan_meier(time, event).at(t))


def test_events_come_before_censoring() -> None:
    found = still_observed([1, 2, 2, 3], [1, 1, 0, 0])
    assert found.before(2) == 1
    assert found.at(2) == pytest.approx(0.5)  # of the two left after the event at 2, one is censored
    assert found.at(3) == 0


def test_what_was_observed_is_event_free_times_uncensored() -> None:
    rng = np.random.default_rng(1)
    time, event = rng.integers(1, 9, 60), rng.integers(0, 3, 60)
    t = np.arange(1, 10)
    product = kaplan_meier(time, event).before(t) * still_observed(time, event).before(t)
    assert product == pytest.approx([(time >= limit).mean() for limit in t])
