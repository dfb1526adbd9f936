import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.statistics.concordance import harrell_c, harrell_c_of_draws, uno_c
from xray2xray.statistics.dynamic_auroc import auroc_at


def patients(n: int, seed: int, ends: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tied times and risks, so that every convention counts."""
    rng = np.random.default_rng(seed)
    risk = np.round(rng.normal(size=n), 1)
    return np.ceil(8 * rng.exponential(np.exp(-risk))), rng.integers(0, ends, n), risk


def observed_before(time: np.ndarray, event: np.ndarray, t: float) -> float:
    """Probability of not being censored before t, from the definition."""
    left = 1.0
    for u in sorted(set(time[time < t])):
        at_risk = np.sum(time > u) + np.sum((time == u) & (event == 0))
        if at_risk:
            left *= 1 - np.sum((time == u) & (event == 0)) / at_risk
    return left


def by_definition(time: np.ndarray, event: np.ndarray, risk: np.ndarray, horizon: float, weighted: bool) -> float:
    won = total = 0.0
    for i in np.flatnonzero((event == 1) & (time < horizon)):
        for j in range(len(time)):
            later = time[j] > time[i] or (time[j] == time[i] and event[j] == 0)
            if not later and event[j] < 2:
                continue
            weight = 1.0
            if weighted:
                weight /= observed_before(time, event, time[i])
                weight /= observed_before(time, event, time[i] if later else time[j])
            total += weight
            won += weight * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    return won / total


@pytest.mark.parametrize("ends", [2, 3])
@pytest.mark.parametrize("horizon", [6, np.inf])
def test_concordance_is_its_definition(ends: int, horizon: float) -> None:
    people = patients(40, 0, ends)
    assert uno_c(*people, horizon=horizon) == pytest.approx(by_definition(*people, horizon, True))
    assert harrell_c(*people) == pytest.approx(by_definition(*people, np.inf, False))


def test_concordance_of_draws_is_that_of_the_drawn_patients() -> None:
    people = patients(30, 4, 3)
    counts = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=4)
    rows = [np.repeat(np.arange(30), drawn) for drawn in counts]
    expected = [harrell_c(*(column[some] for column in people)) for some in rows]
    assert harrell_c_of_draws(*people, counts) == pytest.approx(expected)
    nobody = np.zeros((1, 30))
    assert np.isnan(harrell_c_of_draws(*people, nobody)).all()


def test_uno_and_harrell_agree_without_censoring() -> None:
    time, _, risk = patients(60, 1)
    assert uno_c(time, np.ones(60), risk) == pytest.approx(harrell_c(time, np.ones(60), risk))
    assert harrell_c(time, np.ones(60), -time) == 1
    assert harrell_c(time, np.ones(60), np.zeros(60)) == 0.5


def test_uno_does_not_depend_on_the_censoring_and_harrell_does() -> None:
    rng = np.random.default_rng(2)
    n = 1500
    group = rng.integers(0, 2, n)
    # hazards cross: early events are told apart well, late ones badly, so what censoring leaves decides
    time = np.where(group == 1, rng.weibull(0.5, n), rng.weibull(3, n))
    lost = rng.exponential(0.5, n)
    seen, event = np.minimum(time, lost), (time <= lost).astype(int)
    truth = harrell_c(time, np.where(time < 1.2, 1, 0), group)
    assert uno_c(seen, event, group, horizon=1.2) == pytest.approx(truth, abs=0.03)
    assert abs(harrell_c(seen, event, group) - truth) > 0.04


@pytest.mark.parametrize("ends", [2, 3])
def test_dynamic_auroc_is_its_definition(ends: int) -> None:
    time, event, risk = patients(40, 3, ends)
    horizons = [3, 6, 10]
    for limit, found in zip(horizons, auroc_at(time, event, risk, horizons)):
        won = total = 0.0
        for i in np.flatnonzero((time <= limit) & (event == 1)):
            for j in range(40):
                if time[j] > limit or (time[j] == limit and event[j] == 0):
                    weight = 1 / observed_before(time, event, limit)
                elif event[j] > 1:
                    weight = 1 / observed_before(time, event, time[j])
                else:
                    continue
                weight /= observed_before(time, event, time[i])
                total += weight
                won += weight * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
        assert found == pytest.approx(won / total)


def test_dynamic_auroc_of_proportional_hazards_is_found_under_censoring() -> None:
    rng = np.random.default_rng(4)
    n = 2000
    risk = rng.normal(size=n)
    time, lost = rng.exponential(np.exp(-risk)), rng.exponential(1.0, n)
    seen, event = np.minimum(time, lost), (time <= lost).astype(int)
    truth = auroc_at(time, np.ones(n), risk, [0.3, 1.0])
    assert auroc_at(seen, event, risk, [0.3, 1.0]) == pytest.approx(truth, abs=0.02)
    assert auroc_at(seen, event, np.stack([risk, -risk], axis=1), [0.3, 1.0])[1] == pytest.approx(
        1 - truth[1], abs=0.02
    )


def test_a_study_that_ends_at_the_horizon_has_controls() -> None:
    assert auroc_at([1, 2, 10, 10], [1, 1, 0, 0], [4, 1, 2, 0], [10]) == pytest.approx([0.75])


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="no two patients"):
        harrell_c([1, 1], [1, 1], [0, 1])
    with pytest.raises(InputError, match="no two patients"):
        uno_c([2, 3], [1, 0], [0, 1], horizon=1)
    with pytest.raises(InputError, match="as many risks"):
        harrell_c([1, 2], [1, 0], [0])
    with pytest.raises(InputError, match="NaN"):
        harrell_c([1, 2], [1, 0], [0, np.nan])
    with pytest.raises(InputError, match="at 1 there are no cases"):
        auroc_at([2, 3], [1, 0], [0, 1], [1])
    with pytest.raises(InputError, match="at 9 there are no controls"):
        auroc_at([2, 3], [1, 0], [0, 1], [9])
    with pytest.raises(InputError, match="risk must be"):
        auroc_at([2, 3], [1, 0], [[0, 1, 2], [0, 1, 2]], [2])
