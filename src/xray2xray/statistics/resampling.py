"""Bootstrap over patients, and over whatever else a claim rests on. Patients are drawn whole, with all their rows."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import InputError, UsageError
from .checks import Array, check_level

Rows = NDArray[np.intp]


def draw_patients(n: int, draws: int = 1000, seed: int = 0) -> Array:
    """How often each of `n` patients is drawn in each of `draws` resamples with replacement, float64 (draws, n)."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)


def interval(resampled: ArrayLike, level: float = 0.95) -> tuple[float, float] | None:
    """The central `level` of bootstrap draws, NaN left out; None if fewer than half of the draws are numbers.

    Raises:
        UsageError: the level is not between 0 and 1.
    """
    check_level(level)
    values = np.asarray(resampled, np.float64)
    values = values[np.isfinite(values)]
    if not len(values) or len(values) < 0.5 * np.size(resampled):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_p(differences: ArrayLike) -> float:
    """Two-sided p of no difference, by inverting the percentile interval of bootstrap draws; 1 without any numbers."""
    spread = np.asarray(differences, np.float64)
    spread = spread[np.isfinite(spread)]
    beyond = min(np.sum(spread <= 0), np.sum(spread >= 0))
    return float(min(1, 2 * (beyond + 1) / (len(spread) + 1)))


def mean_over_seeds(draws: ArrayLike, seed: int = 0) -> Array:
    """The mean over training seeds of a statistic, float64 (draws,), with the seeds resampled too.

    `nested_bootstrap` for a statistic that is already known on every resample of patients, one label draw a seed.

    Args:
        draws: (seeds, draws), each column one resample of the test patients.
    """
    found = np.asarray(draws, np.float64)
    seeds, n = found.shape
    chosen = np.random.default_rng([seed, 1]).integers(seeds, size=(seeds, n))
    return np.take_along_axis(found, chosen, axis=0).mean(axis=0)


def patient_bootstrap(
    statistic: Callable[[Rows], float], patients: ArrayLike, draws: int = 1000, seed: int = 0
) -> Array:
    """A statistic on resamples of patients, float64 (draws,) (the cluster bootstrap: Field and Welsh, 2007).

    Args:
        statistic: of row numbers, which may repeat; a difference of two models on the same rows is paired. A draw on
            which it raises InputError, for example for lack of a class, is NaN.
        patients: (n,), whose each row is.

    Raises:
        UsageError: fewer than two patients.
    """
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    rows_of = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    if len(rows_of) < 2:
        raise UsageError("a bootstrap over patients needs at least two of them")
    rng = np.random.default_rng(seed)
    found = np.full(draws, np.nan)
    for draw in range(draws):
        rows = np.concatenate([rows_of[i] for i in rng.integers(len(rows_of), size=len(rows_of))])
        try:
            found[draw] = statistic(rows)
        except InputError:
            continue
    return found


def nested_bootstrap(
    statistic: Callable[[int, int, Rows], float],
    seeds: int,
    label_draws: int,
    patients: ArrayLike,
    draws: int = 1000,
    seed: int = 0,
) -> Array:
    """Mean over training seeds and label draws of a statistic, with all three sources of chance, float64 (draws,).

    Each draw resamples the seeds, within each of them its label draws (which training labels were given), and the test
    patients once for all, since every model is tested on the same ones. Few seeds make it narrow: the variance between
    k of them comes out (k - 1) / k of what it is (Davison and Hinkley, 1997, section 3.8).

    Args:
        statistic: of the number of a seed, the number of a label draw and test rows; usually a paired difference.
        patients: (n,), whose each test row is.

    Raises:
        UsageError: no seed or label draw, or fewer than two patients.
    """
    if min(seeds, label_draws) < 1:
        raise UsageError(f"at least one seed and one label draw are needed, got {seeds} and {label_draws}")
    rng = np.random.default_rng([seed, 1])  # a stream of its own: the patients are those of `patient_bootstrap`

    def mean_of_models(rows: Rows) -> float:
        models = [(s, d) for s in rng.integers(seeds, size=seeds) for d in rng.integers(label_draws, size=label_draws)]
        once = {model: statistic(int(model[0]), int(model[1]), rows) for model in set(models)}
        return float(np.mean([once[model] for model in models]))

    return patient_bootstrap(mean_of_models, patients, draws, seed)
