"""Two AUROCs on the same patients: DeLong's test for one image a patient, resampled patients for several."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from ..core.errors import InputError
from .auroc import auroc
from .checks import Array, binary, check_level
from .intervals import Resamples, reach, two_sided_p


@dataclass(frozen=True)
class Contrast:
    """`difference` = `first` - `second`, its 95 % interval (None if too few draws had both classes), two-sided p."""

    first: float
    second: float
    difference: float
    ci95: tuple[float, float] | None
    p_value: float


def delong(labels: ArrayLike, *scores: ArrayLike) -> tuple[Array, Array]:
    """AUROCs (k,) of k scores on the same patients, and their covariance (k, k).

    The covariance is that of the placements: the share of negatives that a positive beats, and of positives that beat
    a negative (DeLong, DeLong and Clarke-Pearson, 1988, equations 3 to 7).

    Args:
        labels: (n,) of 0 and 1, independent patients.
        scores: each (n,).

    Raises:
        InputError: as `binary`, or fewer than two patients of a class.
    """
    y, found = binary(labels, *scores)
    if min(y.sum(), (~y).sum()) < 2:
        raise InputError("DeLong's variance needs two patients of each class")
    positives, negatives = y.sum(), (~y).sum()
    # a rank among all less the rank among one's own class counts the others below, ties half (Sun and Xu, 2014)
    ranks = rankdata(found, axis=1)
    of_positives = (ranks[:, y] - rankdata(found[:, y], axis=1)) / negatives
    of_negatives = 1 - (ranks[:, ~y] - rankdata(found[:, ~y], axis=1)) / positives
    covariance = np.cov(of_positives) / positives + np.cov(of_negatives) / negatives
    return of_positives.mean(axis=1), np.atleast_2d(covariance)


def delong_interval(labels: ArrayLike, scores: ArrayLike, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """AUROC and its Wald interval within [0, 1]; arguments and errors as `delong`."""
    check_level(level)
    (area,), ((variance,),) = delong(labels, scores)
    beside = reach(len(np.asarray(labels)), level) * np.sqrt(variance)
    return float(area), (float(max(0, area - beside)), float(min(1, area + beside)))


def delong_test(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Contrast:
    """Is the AUROC of `first` another than that of `second`? One image a patient.

    Where the difference has no variance, as between two perfect scores, p is 1 for a difference of 0 and else 0.

    Args:
        labels, first, second: (n,).

    Raises:
        InputError: as `delong`.
    """
    return delong_over_seeds(labels, np.asarray(first)[None], np.asarray(second)[None])


def delong_over_seeds(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Contrast:
    """The same for two methods that were each trained with s seeds: their mean AUROCs.

    The variance has two parts, as that of readers who all read the same cases (Obuchowski and Rockette, 1995):
    DeLong's, of the mean difference over the patients, and that of the seeds' differences, over s. The latter contains
    some of the patients' chance too, so the interval errs on the wide side.

    Args:
        labels: (n,).
        first, second: (s, n), one row a seed; rows of one seed are paired.

    Raises:
        InputError: as `delong`, or other numbers of seeds.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.ndim != 2 or one.shape != other.shape:
        raise InputError(f"two methods want as many seeds and patients (s, n), got {one.shape} and {other.shape}")
    s = len(one)
    areas, covariance = delong(labels, *one, *other)
    weights = np.repeat([1 / s, -1 / s], s)
    differences = areas[:s] - areas[s:]
    between = differences.var(ddof=1) / s if s > 1 else 0.0
    difference, error = float(weights @ areas), np.sqrt(max(0, weights @ covariance @ weights) + between)
    z = abs(difference) / error if error > 1e-12 else (0 if abs(difference) < 1e-12 else np.inf)
    n = one.shape[1]
    bounds = float(difference - reach(n) * error), float(difference + reach(n) * error)
    return Contrast(float(areas[:s].mean()), float(areas[s:].mean()), difference, bounds, two_sided_p(z, n))


def clustered_test(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patients: ArrayLike,
    draws: int = 2000,
    seed: int = 0,
) -> Contrast:
    """The same where patients have several images: whole patients are resampled, and p is of `Resamples`.

    Args:
        labels, first, second: (n,), one row an image.
        patients: (n,), whose image each is.

    Raises:
        InputError: as `binary`.
    """
    y, scores = binary(labels, first, second)
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    if owner.shape != y.shape:
        raise InputError(f"{len(y)} images want as many patients, got {owner.shape}")
    some = Resamples.of(len(names), draws, seed)
    a, b = (auroc(y, s, some.counts[:, owner]) for s in scores)
    return Contrast(float(a[0]), float(b[0]), float(a[0] - b[0]), some.interval(a - b), some.p_value(a - b))
