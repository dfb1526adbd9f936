"""Is acting on a prediction better than treating everyone or no one?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import UsageError
from .checks import Array, probabilities


class NetBenefit(NamedTuple):
    """Net benefit at each threshold, float64 (t,); treating no one has 0 everywhere."""

    model: Array
    treat_all: Array


def net_benefit(labels: ArrayLike, predicted: ArrayLike, thresholds: ArrayLike) -> NetBenefit:
    """True positives minus false positives at the odds of the threshold, per patient (Vickers and Elkin, 2006).

    Args:
        labels, predicted: (n,); treated is who has a predicted probability of at least the threshold.
        thresholds: (t,), between 0 and 1.

    Raises:
        InputError: as `probabilities`.
        UsageError: a threshold of 0 or less, or of 1 or more.
    """
    y, p = probabilities(labels, predicted)
    limits = np.atleast_1d(np.asarray(thresholds, np.float64))
    if not ((limits > 0) & (limits < 1)).all():
        raise UsageError("thresholds of a decision curve lie between 0 and 1, both excluded")
    treated, odds = p >= limits[:, None], limits / (1 - limits)
    model = (treated & y).mean(axis=1) - odds * (treated & ~y).mean(axis=1)
    return NetBenefit(model, y.mean() - odds * (~y).mean())
