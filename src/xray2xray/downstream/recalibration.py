"""Probabilities put right on validation patients: a straight line on the log odds, learned once, then left alone."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from ..evaluation.statistics.calibration import log_odds, logistic_line
from .head import Array


@dataclass(frozen=True)
class Recalibration:
    """logit q = intercept + slope logit p (Cox, 1958; Platt, 1999). A positive slope leaves AUROC as it
    was."""

    intercept: float
    slope: float

    @classmethod
    def fit(cls, labels: ArrayLike, predicted: ArrayLike) -> Self:
        """Learn from patients on whom nothing else was learned: labels (n,) of 0 and 1, probabilities (n,).

        Raises:
            InputError: one class only, no probabilities, all of them the same, or they separate the classes.
        """
        return cls(*logistic_line(labels, predicted))

    def __call__(self, predicted: ArrayLike) -> Array:
        """Probabilities (n,) of other patients, float64."""
        return expit(self.intercept + self.slope * log_odds(np.asarray(predicted, np.float64)))
