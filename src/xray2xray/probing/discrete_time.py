"""Discrete-time hazards: follow-up is cut into intervals, and a logistic regression tells who has the event in each."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ..statistics.newton import newton
from .head import Array
from .survival import Followed, SurvivalHead

INTERVALS = 10  # with equally many events each
STEADY = 1e-6  # an interval that nobody outlives would send its intercept to infinity


class DiscreteTimeHead(SurvivalHead):
    """logit P(event in interval k | free of it before) = intercept_k + x . weights (Singer and Willett, 1993).

    The odds are in proportion, the baseline is free. Who was censored in the first half of an interval
    does not count in it, who was seen beyond its middle has survived it (Gensheimer and Narasimhan, 2019). Within an
    interval the hazard is constant. Event 1 only; every other end counts as censoring.

    Attributes:
        weights_: (d,), log odds ratio of one standard deviation of a feature.
        intercepts_: (k,); edges_: (k + 1,), of the intervals, each without its start and with its end.
        penalty_: as chosen; the intercepts have none.
    """

    weights_: Array
    intercepts_: Array
    edges_: Array
    penalty_: float

    def _fit(self, train: Followed, owner: NDArray[np.intp]) -> None:
        quantiles = np.quantile(train.time[train.event == 1], np.arange(1, INTERVALS) / INTERVALS)
        self.edges_ = np.unique(np.concatenate([[0.0], quantiles, [self.last_]]))

        def held_out(inner: Followed, test: Followed, penalty: float) -> float:
            return self._loss(test, *self._solve(inner, penalty))

        self.penalty_ = self._choose(train, owner, held_out)
        self.intercepts_, self.weights_ = self._solve(train, self.penalty_)

    def _solve(self, train: Followed, penalty: float) -> tuple[Array, Array]:
        """Intercepts (k,) and weights (d,). Rows share x over the intervals, so that they need not be unrolled."""
        at_risk, had = self._intervals(train)
        n, k = at_risk.shape
        penalties = np.concatenate([np.full(k, STEADY), np.full(train.x.shape[1], penalty)])

        def loss(both: Array) -> tuple[float, Array, Array]:
            odds = both[:k] + (train.x @ both[k:])[:, None]
            p = expit(odds)
            value = np.sum(at_risk * np.logaddexp(0, odds) - had * odds) / n + penalties @ both**2 / 2
            residual, spread = at_risk * p - had, at_risk * p * (1 - p)
            gradient = np.concatenate([residual.sum(axis=0), train.x.T @ residual.sum(axis=1)]) / n
            across = train.x.T @ spread
            within = train.x.T @ (spread.sum(axis=1)[:, None] * train.x)
            hessian = np.block([[np.diag(spread.sum(axis=0)), across.T], [across, within]]) / n
            return float(value), gradient + penalties * both, hessian + np.diag(penalties)

        both = newton(loss, np.zeros(len(penalties)))
        return both[:k], both[k:]

    def _loss(self, test: Followed, intercepts: Array, weights: Array) -> float:
        at_risk, had = self._intervals(test)
        odds = intercepts + (test.x @ weights)[:, None]
        return float(np.sum(at_risk * np.logaddexp(0, odds) - had * odds))

    def _intervals(self, some: Followed) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Who was at risk in each interval, and who had the event there: both (n, k)."""
        k = len(self.edges_) - 1
        own = np.searchsorted(self.edges_[1:], some.time, side="left")
        had = (own[:, None] == np.arange(k)) & (some.event == 1)[:, None]
        middle = (self.edges_[1:] + self.edges_[:-1]) / 2
        return (some.time[:, None] > middle) | had, had

    def _risk(self, x: Array) -> Array:
        return x @ self.weights_

    def _survival(self, x: Array, times: Array) -> Array:
        ends = -np.cumsum(np.logaddexp(0, self.intercepts_ + self._risk(x)[:, None]), axis=1)
        log_free = np.column_stack([np.zeros(len(x)), ends])  # at each edge
        k = np.clip(np.searchsorted(self.edges_, times, side="right") - 1, 0, len(self.edges_) - 2)
        share = (times - self.edges_[k]) / (self.edges_[k + 1] - self.edges_[k])
        return np.exp(log_free[:, k] + share * (log_free[:, k + 1] - log_free[:, k]))
