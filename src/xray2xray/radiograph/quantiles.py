"""A radiograph's grey values to line integrals, by rank.

A detector's look-up tables are unknown but monotone, so the order of the grey values is all that can be trusted. Giving
them the distribution of line integrals of simulated frontals keeps that order and puts them on the scale the networks
know. The result is `uncalibrated`: plausible in distribution, measured nowhere.
"""

import numpy as np


def quantiles_of(views_p: np.ndarray, n: int = 256) -> np.ndarray:
    """float32 (n,): quantiles of all values in `views_p` (any shape, line integrals) at (i + 1/2) / n.

    The half keeps a cohort's single largest value from becoming every radiograph's white.
    """
    return np.quantile(np.asarray(views_p, dtype=np.float32), _levels(n)).astype(np.float32)


def match_quantiles(gray: np.ndarray, reference_quantiles: np.ndarray) -> np.ndarray:
    """The grey values of one radiograph replaced by reference line integrals of the same rank.

    Monotone; equal grey values stay equal and get the middle of their ranks.

    Args:
        gray: (h, w), dense = bright, any scale.
        reference_quantiles: (q,), from `quantiles_of`.

    Returns:
        float32 (h, w), line integrals p.
    """
    gray = np.asarray(gray)
    _, index, counts = np.unique(gray, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - counts / 2) / gray.size
    reference = np.maximum.accumulate(np.asarray(reference_quantiles, dtype=np.float64))
    return np.interp(rank, _levels(reference.size), reference).astype(np.float32)[index].reshape(gray.shape)


def _levels(n: int) -> np.ndarray:
    return (np.arange(n) + 0.5) / n
