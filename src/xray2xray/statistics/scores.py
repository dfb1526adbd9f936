"""Scores of predicted probabilities beside the AUROC: precision among the rare, squared error."""

import numpy as np
from numpy.typing import ArrayLike

from .checks import Array, binary, probabilities


def auprc(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> Array:
    """Area under the precision-recall curve: average precision, a step at each score (Davis and Goadrich, 2006).

    Chance level is the prevalence, so values of cohorts with other prevalences do not compare.

    Args:
        labels, scores: (n,); higher means more likely positive.
        counts: (draws, n), how often each patient is drawn; by default everyone once.

    Returns:
        float64 (draws,), or () without `counts`; NaN where a draw holds no positive.

    Raises:
        InputError: other lengths, NaN, or one class only.
    """
    y, (score,) = binary(labels, scores)
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(y) - 1)  # tied patients come in together
    weights = np.ones((1, len(y))) if counts is None else np.asarray(counts, np.float64)
    taken = np.cumsum(weights[:, order], axis=1)[:, last]
    true = np.cumsum(weights[:, order] * y[order], axis=1)[:, last]
    precision = np.divide(true, taken, out=np.zeros_like(true), where=taken > 0)
    gained = np.diff(true, axis=1, prepend=0)
    positives = true[:, -1]
    area = (gained * precision).sum(axis=1)
    area = np.divide(area, positives, out=np.full(len(weights), np.nan), where=positives > 0)
    return area[0] if counts is None else area


def brier(labels: ArrayLike, predicted: ArrayLike) -> float:
    """Mean squared difference of probability and outcome (Brier, 1950); a constant prevalence q gets q (1 - q).

    Args:
        labels, predicted: (n,).

    Raises:
        InputError: other lengths, NaN, one class only, or predictions outside [0, 1].
    """
    y, p = probabilities(labels, predicted)
    return float(np.mean(np.square(p - y)))
