"""Ridge regression of a number: what is planted is found, patients stay whole, and a validation split may choose."""

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.probing.number import PENALTIES, fit_number

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 200))
Y = 50 + 3 * X[:, 0] + 0.1 * RNG.normal(size=120)


def test_a_planted_line_is_found() -> None:
    x = X[:, :5]
    head = fit_number(x[:80], Y[:80], label="ml")
    assert np.corrcoef(head.predict(x[80:]), Y[80:])[0, 1] > 0.99
    assert np.abs(head.predict(x[80:]) - Y[80:]).max() < 1


def test_the_penalty_is_that_of_the_normal_equations() -> None:
    """With more features than rows, as with fewer, the weights are those of ridge regression."""
    held = np.zeros(120, bool)
    held[90:] = True
    for x in (X, X[:, :10]):
        head = fit_number(x, Y, label="ml", held=held)
        z = (x - x[:90].mean(0)) / x[:90].std(0)
        errors = []
        for penalty in PENALTIES:
            w = np.linalg.solve(z[:90].T @ z[:90] + penalty * np.eye(x.shape[1]), z[:90].T @ (Y[:90] - Y[:90].mean()))
            errors.append((np.mean((z[90:] @ w + Y[:90].mean() - Y[90:]) ** 2), z @ w + Y[:90].mean()))
        best = min(errors, key=lambda one: one[0])[1]
        np.testing.assert_allclose(head.predict(x), best, rtol=1e-6)


def test_one_patient_is_on_one_side() -> None:
    """A number that is the patient's own is not learned by heart: with leakage the weakest penalty would win."""
    rng, patients = np.random.default_rng(0), np.repeat(np.arange(30), 4)
    x = np.eye(30)[patients] + 0.01 * rng.normal(size=(120, 30))
    y = np.repeat(rng.normal(size=30), 4)
    spread = [np.std(fit_number(x, y, label="ml", patients=given).predict(x)) for given in (patients, None)]
    assert spread[0] < 0.3 * spread[1]


def test_too_little_is_refused() -> None:
    with pytest.raises(InputError, match="8 patients"):
        fit_number(X, Y, label="ml", patients=np.arange(120) % 7)
    with pytest.raises(InputError, match="different, known"):
        fit_number(X, np.ones(120), label="ml")
