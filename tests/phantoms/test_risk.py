"""The hazard: what its dial says is what it is, its events follow the formula, and nobody changes it unnoticed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import UsageError
from xray2xray.core.seeds import FIRST_TEST_SEED, split_of
from xray2xray.phantoms import Burden, Findings, Patient, risk, sample_patient
from xray2xray.phantoms.risk import DIAL, Dial, components, log_hazard_ratio, outcome, sample_outcome

N = 5000


@pytest.fixture(scope="module")
def people() -> list[Patient]:
    """Patients that were not among those the constants were fitted on."""
    return [sample_patient(seed) for seed in range(500_000, 500_000 + N)]


@pytest.fixture(scope="module")
def parts(people: list[Patient]) -> np.ndarray:
    """Their components (n, 3): frontal, depth, hidden."""
    return np.array([components(one) for one in people])


def test_components_are_standardised_and_apart(people: list[Patient], parts: np.ndarray) -> None:
    assert np.abs(parts.mean(axis=0)).max() < 0.06, "fit the constants of risk.py again if sampling has changed"
    assert np.abs(parts.std(axis=0) - 1).max() < 0.06, "fit the constants of risk.py again if sampling has changed"
    known = np.array([(one.age, one.female) for one in people])
    correlation = np.corrcoef(np.hstack([parts, known]).T) - np.eye(5)
    assert np.abs(correlation[:3]).max() < 0.06, "uncorrelated with each other, with age and with sex"


@pytest.mark.parametrize("dial", [DIAL, Dial(1, 0, 0), Dial(0, 1, 0), Dial(0, 0, 1), Dial(0.2, 0.5, 0.3)])
def test_the_dial_is_the_variance(people: list[Patient], parts: np.ndarray, dial: Dial) -> None:
    image = np.array([log_hazard_ratio(one, dial) - risk.EVENT.female * one.female for one in people])
    assert abs(image.var() / risk.SPREAD**2 - 1) < 0.1
    explained = [np.corrcoef(image, part)[0, 1] ** 2 for part in parts.T]
    assert np.abs(np.array(explained) - [dial.frontal, dial.depth, dial.hidden]).max() < 0.05


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.2, -0.2, 0.0), (0.0, 0.0, 0.0), (float("nan"), 0.5, 0.5)])
def test_a_dial_that_is_no_share_is_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match="add up to 1"):
        Dial(*shares)


def test_every_factor_raises_the_hazard_of_its_group() -> None:
    base = replace(sample_patient(8), findings=Findings(), burden=Burden())
    frontal_only, depth_only, hidden_only = Dial(1, 0, 0), Dial(0, 1, 0), Dial(0, 0, 1)
    worse = {
        "coronary": (Burden(coronary=400.0), depth_only),
        "valve": (Burden(aortic_valve=400.0), depth_only),
        "mitral": (Burden(mitral_annulus=400.0), depth_only),
        "bone": (Burden(bone=0.7), depth_only),
        "aortic": (Burden(aortic=400.0), frontal_only),
        "unfolding": (Burden(unfolding=0.9), frontal_only),
        "emphysema": (Burden(emphysema=0.3), frontal_only),
    }
    for name, (burden, dial) in worse.items():
        assert log_hazard_ratio(replace(base, burden=burden), dial) > log_hazard_ratio(base, dial), name
    large = replace(base, findings=Findings(cardiomegaly=0.8))
    fat = replace(base, body=replace(base.body, fat_mm=base.body.fat_mm + 15))
    assert min(log_hazard_ratio(one, frontal_only) for one in (large, fat)) > log_hazard_ratio(base, frontal_only)
    everything = replace(large, burden=Burden(2000.0, 2000.0, 900.0, 900.0, 1.0, 0.4, 0.6))
    assert log_hazard_ratio(everything, hidden_only) == log_hazard_ratio(base, hidden_only), "a frailty is in no image"
    assert components(everything).frontal == pytest.approx(
        components(replace(everything, burden=replace(everything.burden, coronary=0.0))).frontal
    ), "coronary calcium is no part of what a frontal shows"


def test_age_and_sex() -> None:
    rates = {
        (age, female): risk.hazards(replace(sample_patient(1), age=age, female=female), Dial(0, 0, 1))
        for age in (60.0, 70.0)
        for female in (False, True)
    }
    event, death = (np.log(np.array(rates[70.0, False]) / np.array(rates[60.0, False])) / 10).tolist()
    assert event == pytest.approx(risk.EVENT.slope)
    assert death == pytest.approx(risk.OTHER_DEATH.slope)
    assert np.all(np.array(rates[60.0, True]) < rates[60.0, False])


def follow(patient: Patient, n: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    drawn = [sample_outcome(rng, patient) for _ in range(n)]
    return np.array([one.event for one in drawn]), np.array([one.time_years for one in drawn])


def cumulative_incidence(event: np.ndarray, time: np.ndarray, years: float) -> float:
    """Aalen-Johansen estimate for cause 1 with cause 2 competing."""
    order = np.argsort(time)
    event, time = event[order], time[order]
    at_risk = np.arange(len(time), 0, -1)
    alive = np.cumprod(1 - (event > 0) / at_risk)
    before = np.concatenate([[1.0], alive[:-1]])
    return float((before * (event == 1) / at_risk)[time <= years].sum())


@pytest.mark.parametrize("age", [55.0, 80.0])
def test_events_follow_the_formula_in_spite_of_death_and_loss(age: float) -> None:
    patient = replace(sample_patient(8), age=age)
    event, time = follow(patient)
    for years in (3.0, 9.0):
        assert cumulative_incidence(event, time, years) == pytest.approx(risk.event_risk(patient, years), abs=0.02)
    naive = np.mean((event == 1) & (time <= 9.0))
    assert naive < risk.event_risk(patient, 9.0), "who is lost might have had an event"


def test_death_competes() -> None:
    young, old = (replace(sample_patient(8), age=age) for age in (50.0, 88.0))
    deaths = [np.mean(follow(one, 1500)[0] == 2) for one in (young, old)]
    assert deaths[1] > 5 * deaths[0] > 0
    event, _ = risk.hazards(old)
    alone = 1 - np.exp(-event * np.expm1(risk.EVENT.slope * 10) / risk.EVENT.slope)
    assert risk.event_risk(old, 10.0) < 0.9 * alone


def test_follow_up_ends(people: list[Patient]) -> None:
    ends = [outcome(one) for one in people]
    kinds, times = (np.array(values) for values in zip(*ends, strict=True))
    assert times.min() > 0
    assert times.max() == risk.FOLLOW_UP_YEARS
    assert (kinds[times == risk.FOLLOW_UP_YEARS] == 0).all()
    assert (kinds[times < risk.FOLLOW_UP_YEARS] == 0).any(), "some are lost before"
    assert 0.08 < np.mean(kinds == 1) < 0.3
    assert 0.05 < np.mean(kinds == 2) < 0.3


def test_higher_risk_means_more_events(people: list[Patient]) -> None:
    score = np.array([log_hazard_ratio(one) for one in people])
    event = np.array([outcome(one).event == 1 for one in people])
    low, high = np.quantile(score, (0.25, 0.75))
    assert event[score > high].mean() > 2.5 * event[score < low].mean()


def test_prevalent_and_future_are_different_things(people: list[Patient]) -> None:
    prevalent = np.array([risk.cvd_prevalent(one) for one in people])
    event = np.array([int(outcome(one).event == 1) for one in people])
    assert 0.2 < prevalent.mean() < 0.45
    table = np.histogram2d(prevalent, event, bins=2)[0] / len(people)
    assert table.min() > 0.02, "all four combinations occur"
    assert 0.05 < np.corrcoef(prevalent, event)[0, 1] < 0.5, "related, and far from the same"
    clean = replace(people[0], findings=Findings(), burden=Burden())
    assert risk.cvd_prevalent(clean) == 0
    for name, limit in risk.PREVALENT.items():
        group, kind = ("findings", Findings) if name == "cardiomegaly" else ("burden", Burden)
        assert risk.cvd_prevalent(replace(clean, **{group: kind(**{name: limit})})) == 1
        assert risk.cvd_prevalent(replace(clean, **{group: kind(**{name: 0.9 * limit})})) == 0


def test_the_same_seed_has_the_same_fate_whatever_it_is_asked_about() -> None:
    assert outcome(sample_patient(77)) == outcome(sample_patient(77))
    assert components(sample_patient(77)).hidden == components(replace(sample_patient(77), burden=Burden())).hidden
    assert outcome(sample_patient(77), Dial(0, 0, 1)) != outcome(sample_patient(78), Dial(0, 0, 1))


def test_the_hazard_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert risk.fingerprint() == risk.FINGERPRINT, "the hazard changed: a new VERSION, not a silent edit"
    monkeypatch.setitem(risk.PREVALENT, "coronary", 100.0)
    assert risk.fingerprint() != risk.FINGERPRINT


def test_the_constants_are_those_of_the_population() -> None:
    found = risk.fit(map(sample_patient, range(4000)))
    sd = found["SD"]
    assert isinstance(sd, dict)
    for name, value in risk.SD.items():
        assert sd[name] == pytest.approx(value, rel=0.06), f"{name}: fit the constants again, as a new VERSION"
    assert found["FRONTAL_SCALE"] == pytest.approx(risk.FRONTAL_SCALE, rel=0.05)
    assert found["DEPTH_SCALE"] == pytest.approx(risk.DEPTH_SCALE, rel=0.05)


def test_splits() -> None:
    dealt = [split_of(seed) for seed in range(20_000)]
    for name, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert dealt.count(name) / len(dealt) == pytest.approx(share, abs=0.01)
    assert {split_of(seed) for seed in range(FIRST_TEST_SEED, FIRST_TEST_SEED + 100)} == {"test"}
    assert [split_of(seed) for seed in range(6)] == dealt[:6]


def test_the_page_on_risk_has_the_fingerprint() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "risk.md"
    assert risk.FINGERPRINT in page.read_text(encoding="utf-8")
