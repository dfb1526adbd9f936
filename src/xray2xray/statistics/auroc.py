"""Area under the ROC curve."""

import numpy as np
from numpy.typing import ArrayLike

from .checks import Array, binary


def auroc(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> Array:
    """Probability that a positive scores above a negative, ties counted half (Mann and Whitney, 1947).

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,), higher means more likely positive.
        counts: (draws, n), how often each patient is drawn, or any other weights; by default everyone once.

    Returns:
        float64 (draws,), or () without `counts`; NaN where a draw holds one class only.

    Raises:
        InputError: other lengths, NaN, or one class only.
    """
    y, (s,) = binary(labels, scores)
    weights = np.ones((1, len(y))) if counts is None else np.asarray(counts, np.float64)
    wins = won_pairs(s[y], s[~y])
    w_positive, w_negative = weights[:, y], weights[:, ~y]
    pairs = w_positive.sum(axis=1) * w_negative.sum(axis=1)
    won = np.einsum("dp,dp->d", w_positive, w_negative @ wins.T)
    area = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return area[0] if counts is None else area


def won_pairs(first: Array, second: Array) -> Array:
    """(p,), (q,) -> (p, q): 1 where the first scores above the second, 1/2 where they tie, else 0."""
    return (first[:, None] > second[None]) + 0.5 * (first[:, None] == second[None])
