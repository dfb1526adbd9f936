import numpy as np
import pytest
from scipy.optimize import minimize

from xray2xray.core.errors import InputError
from xray2xray.probing.cox import MANY, PartialLikelihood, breslow, fit_cox
from xray2xray.probing.survival import CoxHead
from xray2xray.statistics.life_tables import kaplan_meier

# Six patients whose partial likelihood is solved by hand in Therneau and Grambsch, Modeling Survival Data, 2000, E.1
TIME = np.array([9.0, 1, 1, 6, 6, 8])
DIED = np.array([1, 1, 0, 1, 1, 0]) == 1
X = np.array([0.0, 1, 1, 1, 0, 0])[:, None]


def tied_patients(n: int, seed: int, d: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    time = np.ceil(5 * rng.exponential(np.exp(-x @ np.linspace(1, -0.5, d))))
    return x, time, rng.random(n) < 0.7


def efron(weights: np.ndarray, x: np.ndarray, time: np.ndarray, died: np.ndarray) -> float:
    """Efron's log likelihood, a loop over its definition."""
    ratio, total = np.exp(x @ weights), 0.0
    for t in np.unique(time[died]):
        tied = died & (time == t)
        total += (x[tied] @ weights).sum()
        for rank in range(tied.sum()):
            total -= np.log(ratio[time >= t].sum() - rank / tied.sum() * ratio[tied].sum())
    return total


def test_many_features_come_to_the_same_minimum() -> None:
    x, time, died = tied_patients(120, 5, d=6)
    wide = np.concatenate([x, np.zeros((120, MANY))], axis=1)  # features that say nothing leave the others alone
    assert fit_cox(wide, time, died, 0.05)[:6] == pytest.approx(fit_cox(x, time, died, 0.05), abs=1e-4)


def test_efron_as_published() -> None:
    likelihood = PartialLikelihood.of(TIME, DIED)
    assert likelihood.value(np.zeros(6)) == pytest.approx(-4.276666, abs=1e-6)
    r = np.roots([1, 0, -23, -30]).real.max()  # where the derivative of the likelihood in the ratio r vanishes
    weights = fit_cox(X, TIME, DIED, penalty=0)
    assert weights == pytest.approx([np.log(r)], abs=1e-7)
    assert np.log(r) == pytest.approx(1.676857, abs=1e-6)
    expected = 2 * np.log(r) - np.log([3 * r + 3, r + 3, (r + 5) / 2]).sum()
    assert likelihood.value(X @ weights) == pytest.approx(expected)


def test_remission_of_leukaemia_as_published() -> None:
    mercaptopurine = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    relapse = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    x = np.repeat([0.0, 1.0], 21)[:, None]
    weights = fit_cox(x, np.array(mercaptopurine + placebo, float), np.array(relapse + 21 * [1]) == 1, penalty=0)
    assert weights == pytest.approx([1.572], abs=5e-4)  # Freireich et al. (1963), Efron's ties


def test_likelihood_and_derivatives_are_those_of_the_definition() -> None:
    x, time, died = tied_patients(40, 0)
    at = np.array([0.4, -0.2, 0.3])
    likelihood = PartialLikelihood.of(time, died)
    value, gradient, information = likelihood.derivatives(x, at)
    assert value == pytest.approx(efron(at, x, time, died))
    assert likelihood.value(x @ at + 900) == pytest.approx(value)  # no overflow, and no meaning, in a common shift
    step = 1e-5 * np.eye(3)
    numeric = [(efron(at + h, x, time, died) - efron(at - h, x, time, died)) / 2e-5 for h in step]
    assert gradient == pytest.approx(numeric, abs=1e-5)
    slopes = [(likelihood.derivatives(x, at - h)[1] - likelihood.derivatives(x, at + h)[1]) / 2e-5 for h in step]
    assert information == pytest.approx(np.array(slopes), abs=1e-4)


def test_the_penalised_fit_is_the_minimum() -> None:
    x, time, died = tied_patients(60, 1)
    found = minimize(lambda w: -efron(w, x, time, died) / 60 + 0.15 * w @ w, np.zeros(3), tol=1e-10)
    assert fit_cox(x, time, died, penalty=0.3) == pytest.approx(found.x, abs=1e-4)


def test_breslow_by_hand() -> None:
    times, jumps = breslow(np.log([1.0, 2, 1, 2, 1, 1]), TIME, DIED)
    assert times.tolist() == [1, 6, 9]
    assert jumps == pytest.approx([1 / 8, 2 / 5, 1])


def test_planted_hazards_are_recovered() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2500, 4)) * [1, 10, 0.1, 1] + 3
    log_ratio = (x - 3) @ [0.8, -0.05, 0, 0]
    time = rng.exponential(10 * np.exp(-log_ratio))  # hazard 0.1 exp(log_ratio)
    lost = np.minimum(rng.exponential(20, 2500), 15)
    head = CoxHead("cvd").fit(x[:2000], np.minimum(time, lost)[:2000], (time <= lost)[:2000])
    assert head.weights_ == pytest.approx([0.8, -0.5, 0, 0], abs=0.1)  # of a standard deviation
    assert head.penalty_ <= 0.1
    unseen = x[2000:]
    expected = np.exp(-0.1 * np.outer(np.exp(log_ratio[2000:]), [2.0, 10.0]))
    assert np.abs(head.predict_survival(unseen, [2, 10]) - expected).mean() < 0.02
    assert head.predict_incidence(unseen, [2, 10]) == pytest.approx(1 - head.predict_survival(unseen, [2, 10]))
    assert head.score(unseen, time[2000:], np.ones(500)) > 0.69


def test_features_that_say_nothing_leave_nelson_and_aalen() -> None:
    _, time, died = tied_patients(50, 3)
    head = CoxHead().fit(np.full((50, 2), 7.0), time, died)
    survival = head.predict_survival([[7.0, 7.0]], np.arange(5))[0]
    hazard = [np.sum([(died & (time == u)).sum() / (time >= u).sum() for u in np.arange(t + 1)]) for t in range(5)]
    assert survival == pytest.approx(np.exp(-np.array(hazard)))
    assert (survival >= kaplan_meier(time, died).at(np.arange(5)) - 1e-12).all()


def test_noise_asks_for_a_strong_penalty() -> None:
    rng = np.random.default_rng(4)
    head = CoxHead().fit(rng.normal(size=(200, 60)), rng.exponential(size=200), rng.random(200) < 0.5)
    assert head.penalty_ >= 1
    assert np.abs(head.weights_).max() < 0.2


def test_a_fit_that_does_not_settle_is_refused() -> None:
    x, time, died = tied_patients(40, 5)
    with pytest.raises(InputError, match="use a penalty"):
        CoxHead(penalty=0).fit(np.hstack([x, x]), time, died)


def test_a_number_that_tells_does_not_drown_among_many_that_do_not() -> None:
    x, time, died = tied_patients(400, 0, d=1)
    wide = np.concatenate([x, np.random.default_rng(1).normal(size=(400, 500))], axis=1)
    learned, asked = slice(0, 200), slice(200, 400)

    def concordance(features: np.ndarray, blocks: list[int]) -> float:
        head = CoxHead().fit(features[learned], time[learned], died[learned].astype(int), blocks=blocks)
        return head.score(features[asked], time[asked], died[asked].astype(int))

    alone = concordance(x, [1])
    assert concordance(wide, [501]) < alone - 0.05
    assert concordance(wide, [1, 500]) == pytest.approx(alone, abs=0.02)
