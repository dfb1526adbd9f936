"""Probabilities put right on validation patients, learned once and then left alone."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from scipy.stats import chi2

from ..core.errors import InputError
from ..statistics.calibration import in_the_large, log_odds, logistic_line
from .head import Array

LEVEL = 0.05  # of the tests that ask for a change


@dataclass(frozen=True)
class Recalibration:
    """logit q = intercept + slope logit p (Cox, 1958; Platt, 1999). A positive slope leaves AUROC as it was."""

    intercept: float
    slope: float

    @classmethod
    def fit(cls, labels: ArrayLike, predicted: ArrayLike) -> Self:
        """Learn from patients on whom nothing else was learned: labels (n,) of 0 and 1, probabilities (n,).

        A line through a few hundred patients can do more harm than good, so nothing is changed without evidence: both
        numbers, the intercept alone or neither, by a closed test (Vergouwe et al., Stat. Med. 36:4529, 2017).

        Raises:
            InputError: one class only, no probabilities, all of them the same, or they separate the classes.
        """
        y, odds = np.asarray(labels, np.float64), log_odds(np.asarray(predicted, np.float64))
        both = cls(*logistic_line(labels, predicted))
        shifted, unchanged = cls(in_the_large(labels, predicted), 1.0), cls(0.0, 1.0)
        if 2 * (both._likelihood(y, odds) - unchanged._likelihood(y, odds)) < chi2.isf(LEVEL, 2):
            return unchanged
        return both if 2 * (both._likelihood(y, odds) - shifted._likelihood(y, odds)) >= chi2.isf(LEVEL, 1) else shifted

    def __call__(self, predicted: ArrayLike) -> Array:
        """Probabilities (n,) of other patients, float64.

        Raises:
            InputError: not all of them are from 0 to 1.
        """
        p = np.asarray(predicted, np.float64)
        if not ((p >= 0) & (p <= 1)).all():
            raise InputError("probabilities to be recalibrated must lie in [0, 1], and none may be NaN")
        return expit(self._odds(log_odds(p)))

    def _odds(self, odds: Array) -> Array:
        return self.intercept + self.slope * odds

    def _likelihood(self, y: Array, odds: Array) -> float:
        """Log likelihood of labels (n,) under recalibrated log odds (n,)."""
        changed = self._odds(odds)
        return float(np.sum(y * changed - np.logaddexp(0, changed)))
