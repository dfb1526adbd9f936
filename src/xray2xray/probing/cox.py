"""Proportional hazards: hazard(t | x) = baseline(t) exp(x . weights), L2-penalised (Cox, 1972)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ..statistics.newton import newton
from .head import Array

MANY = 300  # features: a Hessian costs their number squared


@dataclass(frozen=True)
class PartialLikelihood:
    """Cox's partial likelihood with Efron's (1977) treatment of tied events.

    Of m events at one time the l-th (l = 0 .. m - 1) meets a risk set in which each of the m counts 1 - l / m.
    `order` (n,) sorts rows by time and `died` (n,) is sorted so; the other arrays are of the k events.
    """

    order: NDArray[np.intp]
    died: NDArray[np.bool_]
    first: NDArray[np.intp]  # the first row still at risk
    tie: NDArray[np.intp]  # which of the distinct event times it is
    share: Array  # l / m

    @classmethod
    def of(cls, time: Array, died: NDArray[np.bool_]) -> "PartialLikelihood":
        order = np.argsort(time, kind="stable")
        at = time[order][died[order]]
        _, start, tie, size = np.unique(at, return_index=True, return_inverse=True, return_counts=True)
        share = (np.arange(len(at)) - start[tie]) / size[tie]
        return cls(order, died[order], np.searchsorted(time[order], at, side="left"), tie, share)

    def value(self, score: Array) -> float:
        """Log likelihood of scores x . weights (n,), rows as they were given."""
        return self._risk_sets(score[self.order])[0]

    def derivatives(self, x: Array, weights: Array) -> tuple[float, Array, Array]:
        """Log likelihood, its gradient (d,) and the information (d, d), for features (n, d)."""
        x = x[self.order]
        value, ratio, at_risk = self._risk_sets(x @ weights)
        expected = self._expected(ratio, at_risk)
        weighted = ratio[:, None] * x
        sums = np.cumsum(weighted[::-1], axis=0)[::-1][self.first]
        tied = np.add.reduceat(weighted[self.died], np.flatnonzero(np.diff(self.tie, prepend=-1)), axis=0)[self.tie]
        mean = (sums - self.share[:, None] * tied) / at_risk[:, None]  # of x over the risk set
        return value, x.T @ (self.died - expected), x.T @ (expected[:, None] * x) - mean.T @ mean

    def gradient(self, x: Array, weights: Array) -> tuple[float, Array]:
        """Log likelihood and its gradient (d,) alone, of features (n, d) sorted by `order`: what many can afford."""
        value, ratio, at_risk = self._risk_sets(x @ weights)
        return value, x.T @ (self.died - self._expected(ratio, at_risk))

    def _expected(self, ratio: Array, at_risk: Array) -> Array:
        """Expected events of each row (n,): its hazard ratio times the baseline hazard of the risk sets it was in."""
        baseline = np.bincount(self.first, 1 / at_risk, len(ratio)).cumsum()
        baseline[self.died] -= np.bincount(self.tie, self.share / at_risk)[self.tie]
        return ratio * baseline

    def _risk_sets(self, score: Array) -> tuple[float, Array, Array]:
        """Log likelihood, hazard ratios (n,) and their sum over each event's risk set (k,); rows sorted."""
        score = np.maximum(score - score.max(), -600)  # a trial step may be absurd: its sums must not vanish
        ratio = np.exp(score)
        tied = np.bincount(self.tie, ratio[self.died])[self.tie]
        at_risk = np.cumsum(ratio[::-1])[::-1][self.first] - self.share * tied
        return float(np.sum(score[self.died] - np.log(at_risk))), ratio, at_risk


def fit_cox(x: Array, time: Array, died: NDArray[np.bool_], penalty: float) -> Array:
    """Weights (d,) that minimise -log likelihood / n + penalty / 2 |weights|^2 for features (n, d)."""
    likelihood = PartialLikelihood.of(time, died)
    if x.shape[1] > MANY:
        return _descend(likelihood, x, penalty)

    def loss(weights: Array) -> tuple[float, Array, Array]:
        value, gradient, information = likelihood.derivatives(x, weights)
        return (
            -value / len(x) + penalty / 2 * float(weights @ weights),
            -gradient / len(x) + penalty * weights,
            information / len(x) + penalty * np.eye(len(weights)),
        )

    return newton(loss, np.zeros(x.shape[1]))


def _descend(likelihood: PartialLikelihood, x: Array, penalty: float) -> Array:
    """`fit_cox` for many features: no Hessian (L-BFGS). The weakest penalties need not converge to lose."""

    x = x[likelihood.order]

    def loss(weights: Array) -> tuple[float, Array]:
        value, gradient = likelihood.gradient(x, weights)
        return -value / len(x) + penalty / 2 * float(weights @ weights), -gradient / len(x) + penalty * weights

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 100, "gtol": 1e-7})
    return found.x


def breslow(score: Array, time: Array, died: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Event times (k,) and how far the cumulative baseline hazard rises at each (Breslow, 1972)."""
    times, events = np.unique(time[died], return_counts=True)
    order = np.argsort(time, kind="stable")
    at_risk = np.cumsum(np.exp(score[order])[::-1])[::-1]
    return times, events / at_risk[np.searchsorted(time[order], times, side="left")]
