"""Area under the ROC curve, and its patient bootstrap: arrays in, numbers out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def auroc(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> Array:
    """Probability that a positive scores above a negative, ties counted half (Mann and Whitney, 1947).

    Args:
        labels: (n,) of 0 and 1.
        scores: (n,), higher means more likely positive.
        counts: (draws, n), how often each patient is drawn; by default everyone once.

    Returns:
        float64 (draws,), or () without `counts`; NaN where a draw holds one class only.
    """
    labels, scores = np.asarray(labels).astype(bool), np.asarray(scores, np.float64)
    weights = np.ones((1, len(labels))) if counts is None else np.asarray(counts, np.float64)
    positive, negative = scores[labels], scores[~labels]
    wins = (positive[:, None] > negative[None]) + 0.5 * (positive[:, None] == negative[None])
    w_positive, w_negative = weights[:, labels], weights[:, ~labels]
    pairs = w_positive.sum(axis=1) * w_negative.sum(axis=1)
    won = np.einsum("dp,dp->d", w_positive, w_negative @ wins.T)
    area = np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return area[0] if counts is None else area


def draw_patients(n: int, draws: int = 1000, seed: int = 0) -> Array:
    """How often each of `n` patients is drawn in each of `draws` resamples with replacement, float64 (draws, n)."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)


def interval(resampled: ArrayLike) -> tuple[float, float] | None:
    """The central 95 % of bootstrap draws, NaN left out; None if fewer than half of the draws are numbers."""
    values = np.asarray(resampled, np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 0.5 * np.size(resampled):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
