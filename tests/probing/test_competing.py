import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.phantoms.patient import sample_patient
from xray2xray.phantoms.risk import components, event_risk, outcome
from xray2xray.probing.competing import CompetingRisksHead
from xray2xray.probing.cox import CoxHead
from xray2xray.statistics.dynamic_auroc import auroc_at
from xray2xray.statistics.life_tables import aalen_johansen


def followed(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, times, ends; and the two hazards: one feature drives the event, another the other end."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    hazards = 0.1 * np.exp(0.8 * x[:, :2])
    time = rng.exponential(1 / hazards)
    lost = np.minimum(rng.exponential(30, n), 10)
    first = np.minimum(time.min(axis=1), lost)
    event = np.where(lost <= time.min(axis=1), 0, np.where(time[:, 0] < time[:, 1], 1, 2))
    return x, first, event, hazards


def test_without_features_it_is_aalen_and_johansen() -> None:
    rng = np.random.default_rng(0)
    time, event = rng.integers(1, 12, 90), rng.integers(0, 3, 90)
    head = CompetingRisksHead().fit(np.ones((90, 2)), time, event)
    t = np.arange(12)
    found = head.predict_incidence([[1.0, 1.0]], t)[0]
    assert found == pytest.approx(aalen_johansen(time, event).at(t))
    other = aalen_johansen(time, event, cause=2).at(t)
    assert head.predict_survival([[1.0, 1.0]], t)[0] == pytest.approx(1 - found - other)


def test_incidences_and_the_free_add_up_for_everyone() -> None:
    x, time, event, _ = followed(300, 1)
    swapped = np.array([0, 2, 1])[event]
    t = np.linspace(0, time.max(), 9)
    head, other = (CompetingRisksHead(penalty=0.01).fit(x, time, e) for e in (event, swapped))
    total = head.predict_survival(5 * x, t) + head.predict_incidence(5 * x, t) + other.predict_incidence(5 * x, t)
    assert total == pytest.approx(np.ones((300, 9)))  # also for risks so high that jumps beyond 1 are cut
    assert (np.diff(head.predict_incidence(5 * x, t), axis=1) >= 0).all()
    assert head.predict_survival(5 * x, t).min() >= 0


def test_planted_hazards_are_recovered_and_ignoring_the_other_end_is_too_much() -> None:
    x, time, event, _ = followed(2000, 2)
    head, alone = CompetingRisksHead("cvd").fit(x, time, event), CoxHead("cvd").fit(x, time, event)
    unseen, _, _, hazards = followed(400, 3)
    both = hazards.sum(axis=1)
    truth = hazards[:, 0] / both * -np.expm1(-both * 8)
    found = head.predict_incidence(unseen, [8.0])[:, 0]
    assert np.abs(found - truth).mean() < 0.025
    assert found.mean() == pytest.approx(truth.mean(), abs=0.02)
    assert alone.predict_incidence(unseen, [8.0]).mean() > truth.mean() + 0.1
    assert np.argmax(np.abs(head.weights_), axis=1).tolist() == [0, 1]
    assert head.predict_risk(unseen) == pytest.approx(head.predict_incidence(unseen, [head.last_])[:, 0])


def test_without_another_end_it_is_refused() -> None:
    x, time, event, _ = followed(100, 4)
    with pytest.raises(InputError, match="CoxHead is enough"):
        CompetingRisksHead().fit(x, time, event == 1)


def test_given_the_factors_it_finds_the_risk_of_virtual_patients() -> None:
    people = [sample_patient(seed) for seed in range(900)]
    factors = np.array([[p.age, p.female, *components(p)] for p in people])
    event, time = np.array([outcome(p) for p in people]).T
    head = CompetingRisksHead("cvd").fit(factors[:600], time[:600], event[:600])
    found = head.predict_incidence(factors[600:], [10.0])[:, 0]
    truth = np.array([event_risk(p) for p in people[600:]])
    assert np.abs(found - truth).mean() < 0.05
    assert found.mean() == pytest.approx(truth.mean(), abs=0.03)
    best = auroc_at(time[600:], event[600:], truth, [10.0])
    assert auroc_at(time[600:], event[600:], found, [10.0]) == pytest.approx(best, abs=0.03)
