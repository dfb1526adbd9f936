"""Intervals of a statistic over patients: percentiles of a bootstrap, and Student's t where patients are few."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from ..core.errors import InputError
from .checks import Array
from .resampling import Rows, bootstrap_p, draw_patients, interval, mean_over_seeds, patient_bootstrap

FEW = 10
"""Fewer cases than this have a t interval: the percentile bootstrap of four covers 79 % where it says 95 %."""

Bounds = tuple[float, float]
EVERYWHERE = (-np.inf, np.inf)
SHARE = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Resamples:
    """Everyone once, and then draws with replacement; of fewer than `FEW`, everyone but one.

    What was left out in turn gives the jackknife's standard error (Tukey 1958; Efron and Tibshirani 1993, chapter 11),
    with which a t interval of n - 1 degrees of freedom lies about the statistic. Of a mean it is the t interval itself.

    Attributes:
        counts: float64 (1 + d, n), how often each of n patients counts.
    """

    counts: Array

    @classmethod
    def of(cls, n: int, draws: int = 1000, seed: int = 0) -> "Resamples":
        some = 1 - np.eye(n) if n < FEW else draw_patients(n, draws, seed)
        return cls(np.vstack([np.ones((1, n)), some]))

    def interval(self, found: ArrayLike, within: Bounds = EVERYWHERE) -> Bounds | None:
        """The 95 % interval; None for fewer than two patients, or where the statistic is mostly no number.

        Args:
            found: the statistic of each row of `counts`, (1 + d,); of several training seeds (s, 1 + d), whose mean it
                is, with their chance too.
            within: what the statistic cannot leave, such as `SHARE`.
        """
        each = np.atleast_2d(np.asarray(found, np.float64))
        if not self._few:
            return interval(mean_over_seeds(each[:, 1:]))
        mean, error = self._mean_and_error(each)
        if not np.isfinite(error):
            return None
        reach = stdtrit(self._n - 1, 0.975) * error
        return float(max(within[0], mean - reach)), float(min(within[1], mean + reach))

    def p_value(self, found: ArrayLike) -> float:
        """Two-sided p of 0, from what `interval` is made of; 1 where there is no interval."""
        each = np.atleast_2d(np.asarray(found, np.float64))
        if not self._few:
            return bootstrap_p(mean_over_seeds(each[:, 1:]))
        mean, error = self._mean_and_error(each)
        if not np.isfinite(error) or mean == 0:
            return 1.0
        return float(2 * stdtr(self._n - 1, -abs(mean) / error)) if error > 0 else 0.0

    @property
    def _n(self) -> int:
        return int(self.counts.shape[1])

    @property
    def _few(self) -> bool:
        return self._n < FEW

    def _mean_and_error(self, each: Array) -> tuple[float, float]:
        """NaN as the error where a patient's absence leaves no number, or nobody."""
        if self._n < 2:
            return float("nan"), float("nan")
        left_out = each[:, 1:].mean(axis=0)
        square = (self._n - 1) * left_out.var()
        square += each[:, 0].var(ddof=1) / len(each) if len(each) > 1 else 0.0
        return float(each[:, 0].mean()), float(np.sqrt(square))


def mean_interval(values: ArrayLike, draws: int = 1000, seed: int = 0, within: Bounds = EVERYWHERE) -> Bounds | None:
    """95 % interval of the mean of one value per patient, (n,); None for fewer than two patients."""
    some, means = _means(values, draws, seed)
    return some.interval(means, within)


def mean_p(values: ArrayLike, draws: int = 1000, seed: int = 0) -> float:
    """Two-sided p of a mean of 0, from what `mean_interval` is made of."""
    some, means = _means(values, draws, seed)
    return some.p_value(means)


def _means(values: ArrayLike, draws: int, seed: int) -> tuple[Resamples, Array]:
    of_patients = np.asarray(values, np.float64)
    some = Resamples.of(len(of_patients), draws, seed)
    return some, some.counts @ of_patients / some.counts.sum(axis=1).clip(1)


def patient_contrast(
    statistic: Callable[[Rows], float], patients: ArrayLike, draws: int = 1000
) -> tuple[Bounds | None, float]:
    """95 % interval and p of a statistic of rows, of which patients may have several; as `patient_bootstrap`."""
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) >= FEW:
        drawn = patient_bootstrap(statistic, patients, draws)
        return interval(drawn), bootstrap_p(drawn)
    some = Resamples.of(len(names))
    found = np.full(len(some.counts), np.nan)
    for i, count in enumerate(some.counts):
        with suppress(InputError):
            found[i] = statistic(np.flatnonzero(count[owner]))
    return some.interval(found), some.p_value(found)


def reach(n: int, level: float = 0.95) -> float:
    """How many standard errors of n cases an interval reaches: Student's t for fewer than `FEW`, else the normal's."""
    return float(stdtrit(n - 1 if n < FEW else np.inf, (1 + level) / 2))


def two_sided_p(z: float, n: int) -> float:
    """p of a statistic that is z standard errors from 0, as `reach` has it."""
    return float(2 * stdtr(n - 1 if n < FEW else np.inf, -abs(z)))
