"""An independent implementation as a second oracle, where it is installed; the definitions are checked elsewhere."""

import numpy as np
import pytest

from xray2xray.probing.survival import CoxHead
from xray2xray.statistics.concordance import harrell_c
from xray2xray.statistics.life_tables import aalen_johansen, kaplan_meier

lifelines = pytest.importorskip("lifelines", reason="lifelines is not installed")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3)) * [1, 5, 0.2] + 2
TIME = np.ceil(20 * RNG.exponential(np.exp(-X[:, 0]))) + 1
EVENT = RNG.choice(3, 200, p=[0.3, 0.5, 0.2])


def test_cox() -> None:
    import pandas as pd

    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(time=TIME, event=EVENT == 1)
    reference = lifelines.CoxPHFitter().fit(table, "time", "event", fit_options={"precision": 1e-10})
    head = CoxHead(penalty=0.0).fit(X, TIME, EVENT)
    assert head.weights_ / head.scale_ == pytest.approx(reference.params_.to_numpy(), abs=1e-4)
    times = [5.0, 10.0, 20.0]
    expected = reference.predict_survival_function(table.iloc[:20], times=times).to_numpy().T
    assert head.predict_survival(X[:20], times) == pytest.approx(expected, abs=1e-4)


def test_curves_and_concordance() -> None:
    times = np.arange(0, 30, 3.0)
    free = lifelines.KaplanMeierFitter().fit(TIME, EVENT > 0).survival_function_at_times(times)
    assert kaplan_meier(TIME, EVENT).at(times) == pytest.approx(free.to_numpy())
    untied = TIME + np.linspace(0, 0.5, 200)
    fitter = lifelines.AalenJohansenFitter(calculate_variance=False).fit(untied, EVENT, event_of_interest=1)
    incidence = fitter.cumulative_density_.iloc[:, 0]
    assert aalen_johansen(untied, EVENT).at(incidence.index.to_numpy()) == pytest.approx(incidence.to_numpy())
    risk = np.round(X[:, 0], 1)
    expected = lifelines.utils.concordance_index(TIME, -risk, EVENT == 1)
    assert harrell_c(TIME, EVENT == 1, risk) == pytest.approx(expected)
