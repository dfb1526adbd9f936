import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from xray2xray.probing.discrete_time import DiscreteTimeHead
from xray2xray.statistics.life_tables import kaplan_meier


def test_the_fit_is_a_logistic_regression_on_unrolled_intervals() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 2))
    time = rng.exponential(np.exp(-x @ [0.7, -0.3]))
    event = rng.random(150) < 0.7
    head = DiscreteTimeHead(penalty=0.0).fit(x, time, event)
    assert len(head.edges_) == 11
    rows, had = [], []
    for i in range(150):
        for k, (start, end) in enumerate(zip(head.edges_, head.edges_[1:])):
            here = bool(event[i]) and start < time[i] <= end
            if here or time[i] > (start + end) / 2:
                rows.append(np.r_[np.eye(10)[k], (x[i] - head.mean_) / head.scale_])
                had.append(here)
    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=2000).fit(rows, had)
    assert head.intercepts_ == pytest.approx(reference.coef_[0, :10], abs=2e-3)
    assert head.weights_ == pytest.approx(reference.coef_[0, 10:], abs=2e-3)


def test_without_features_or_censoring_it_is_the_life_table() -> None:
    rng = np.random.default_rng(1)
    time = rng.exponential(size=200)
    event = time < 1.5
    time = np.minimum(time, 1.5)
    head = DiscreteTimeHead().fit(np.zeros((200, 1)), time, event)
    expected = kaplan_meier(time, event).at(head.edges_)
    assert head.predict_survival([[0.0]], head.edges_)[0] == pytest.approx(expected, abs=1e-4)
    start, end = head.edges_[3:5]
    between = head.predict_survival([[0.0]], [start, (start + end) / 2, end])[0]
    assert between[1] == pytest.approx(np.sqrt(between[0] * between[2]))  # a constant hazard within an interval


def test_planted_hazards_are_recovered() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2500, 3))
    log_ratio = x @ [0.8, -0.4, 0]
    time = rng.exponential(10 * np.exp(-log_ratio))
    lost = np.minimum(rng.exponential(30, 2500), 10)
    head = DiscreteTimeHead("cvd", penalty=1e-3).fit(x[:2000], np.minimum(time, lost)[:2000], (time <= lost)[:2000])
    expected = np.exp(-0.1 * np.outer(np.exp(log_ratio[2000:]), [2.0, 9.0]))
    assert np.abs(head.predict_survival(x[2000:], [2, 9]) - expected).mean() < 0.025
    assert np.corrcoef(head.predict_risk(x[2000:]), log_ratio[2000:])[0, 1] > 0.99
    assert head.score(x[2000:], time[2000:], np.ones(500)) > 0.69
