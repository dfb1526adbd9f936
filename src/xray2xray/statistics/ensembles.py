"""Scores of samples that stand for a distribution, and of a normal one: sharp, and as often right as they say?"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from ..core.errors import InputError
from .checks import Array, check_level


def crps(samples: ArrayLike, truth: ArrayLike) -> Array:
    """Continuous ranked probability score of samples (s, ...) for truths (...) -> float (...); less is better.

    Fair: unbiased for any number of samples, so that few and many compare (Ferro, Q. J. R. Meteorol. Soc. 140:1917,
    2014); in the units of the truth, and the absolute error of a forecast without spread.

    Raises:
        InputError: fewer than two samples, or shapes that do not fit.
    """
    x, y = _samples(samples, truth)
    count = len(x)
    # sum over pairs of |x_i - x_j| = sum over the sorted of (2 i - s - 1) x_i, i from 1
    weights = (2 * np.arange(count) - count + 1).astype(x.dtype)
    apart = np.tensordot(weights, np.sort(x, axis=0), axes=1)
    return np.abs(x - y).mean(axis=0) - apart / (count * (count - 1))


def crps_normal(mean: ArrayLike, sd: ArrayLike, truth: ArrayLike) -> Array:
    """The same of normal distributions, in closed form (Gneiting et al., Mon. Weather Rev. 133:1098, 2005)."""
    mean, sd, truth = (np.asarray(values, np.float64) for values in (mean, sd, truth))
    z = (truth - mean) / np.maximum(sd, 1e-12)
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.maximum(sd, 1e-12) * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))


def energy_score(samples: ArrayLike, truth: ArrayLike) -> float:
    """Energy score of vectors (s, d) for one truth (d,), fair; the norm is divided by the root of d.

    Gneiting and Raftery, J. Am. Stat. Assoc. 102:359 (2007), section 4.2, with an exponent of 1.

    Raises:
        InputError: as `crps`.
    """
    x, y = _samples(samples, truth)
    if x.ndim != 2:
        raise InputError(f"an energy score wants vectors (samples, d), got {x.shape}")
    count, dimension = x.shape
    centred = (x - y).astype(np.float64)
    gram = centred @ centred.T
    square = np.diag(gram)
    apart = np.sqrt(np.maximum(square[:, None] + square - 2 * gram, 0))
    np.fill_diagonal(apart, 0)  # rounding
    return float((np.sqrt(square).mean() - apart.sum() / (2 * count * (count - 1))) / np.sqrt(dimension))


def pit(samples: ArrayLike, truth: ArrayLike, seed: int = 0) -> Array:
    """Probability integral transform (...) in (0, 1): uniform if truth and samples are of one distribution.

    The rank of the truth among the samples (s, ...), spread evenly over its cell, ties at random (Czado, Gneiting and
    Held, Biometrics 65:1254, 2009).

    Raises:
        InputError: as `crps`.
    """
    x, y = _samples(samples, truth)
    u = np.random.default_rng(seed).random(y.shape)
    below = (x < y).sum(axis=0)
    return (below + u * (1 + (x == y).sum(axis=0))) / (len(x) + 1)


def central_interval(samples: ArrayLike, level: float) -> tuple[Array, Array]:
    """Ends (...) of the interval that another sample falls into with the probability `level`, from samples (s, ...).

    The i-th of s sorted samples has i / (s + 1) of the probability below it, whatever the distribution, so that a level
    of 0.95 needs 39 samples. With fewer the interval ends at the outermost ones, and promises more than it holds.

    Raises:
        UsageError: the level is not between 0 and 1.
    """
    check_level(level)
    x = np.asarray(samples)
    ends = np.quantile(x, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    return ends[0], ends[1]


def _samples(samples: ArrayLike, truth: ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(samples), np.asarray(truth)
    if len(x) < 2 or x.shape[1:] != y.shape:
        raise InputError(f"at least two samples of the truth's shape are needed, got {x.shape} for {y.shape}")
    return x, y
