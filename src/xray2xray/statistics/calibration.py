"""Do predicted probabilities mean what they say? Weak calibration in two numbers, moderate calibration in one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from ..core.errors import InputError, UsageError
from .checks import Array, probabilities
from .newton import newton

EDGE = 1e-9  # predictions of exactly 0 or 1 have no logit
KNOTS = (0.05, 0.35, 0.65, 0.95)  # quantiles for four knots: Harrell, Regression Modeling Strategies, 2015, table 2.3
Z95 = 1.959964


@dataclass(frozen=True)
class Calibration:
    """What `calibration` finds.

    Attributes:
        slope: of the outcome's log odds on the predicted ones; 1 is ideal, below 1 predictions are too extreme.
        intercept: calibration in the large, with the slope fixed at 1; 0 is ideal, below 0 predictions are too high.
        ici: integrated calibration index, mean |predicted - observed| with the smooth curve as what is observed.
        expected_observed: E/O, events predicted over events seen; 1 is ideal.
    """

    slope: float
    intercept: float
    ici: float
    expected_observed: float


@dataclass(frozen=True)
class Reliability:
    """Groups of equal size in the order of prediction, each array (groups,): mean prediction and share of events,
    the latter with its 95 % interval (Wilson, 1927), and how many patients."""

    predicted: Array
    observed: Array
    low: Array
    high: Array
    patients: NDArray[np.int64]


def calibration(labels: ArrayLike, predicted: ArrayLike) -> Calibration:
    """Slope and intercept (Cox, 1958; Van Calster et al., 2019), ICI (Austin and Steyerberg, 2019) and E/O.

    The curve of the ICI is a logistic regression on a restricted cubic spline of the predicted log odds, four knots, as
    in Austin, Harrell and van Klaveren (2020), in place of the loess of 2019: no span, and never outside [0, 1].

    Args:
        labels: (n,) of 0 and 1.
        predicted: (n,) probabilities.

    Raises:
        InputError: as `probabilities`; all predictions are the same or separate the classes: the slope is not finite.
    """
    _, slope = logistic_line(labels, predicted)
    y, p, _ = _log_odds(labels, predicted)
    ici = float(np.mean(np.abs(p - smooth_curve(y, p))))
    return Calibration(slope, in_the_large(labels, predicted), ici, float(p.sum() / y.sum()))


def logistic_line(labels: ArrayLike, predicted: ArrayLike) -> tuple[float, float]:
    """Intercept and slope of the outcome's log odds on the predicted ones, both free. Raises as `calibration`."""
    y, _, x = _log_odds(labels, predicted)
    if x[y].min() >= x[~y].max() or x[y].max() <= x[~y].min():
        raise InputError("predictions separate the classes perfectly: there is no finite calibration slope")
    intercept, slope = _logistic(np.column_stack([np.ones_like(x), x]), y)
    return float(intercept), float(slope)


def in_the_large(labels: ArrayLike, predicted: ArrayLike) -> float:
    """The intercept alone, with the slope fixed at 1. Raises as `smooth_curve`."""
    y, _, x = _log_odds(labels, predicted)
    return float(_logistic(np.ones((len(x), 1)), y, offset=x)[0])


def log_odds(p: Array) -> Array:
    """Of probabilities; of exactly 0 and 1 those of `EDGE`."""
    return logit(np.clip(p, EDGE, 1 - EDGE))


def smooth_curve(labels: ArrayLike, predicted: ArrayLike) -> Array:
    """Observed risk at each prediction, float64 (n,): the smooth calibration curve of `calibration`.

    Raises:
        InputError: as `probabilities`; all predictions are the same.
    """
    y, _, x = _log_odds(labels, predicted)
    design = np.column_stack([np.ones_like(x), (x - x.mean()) / x.std(), _spline(x)])
    return expit(design @ _logistic(design, y))


def reliability(labels: ArrayLike, predicted: ArrayLike, groups: int = 10) -> Reliability:
    """The points of a reliability diagram.

    Raises:
        InputError: as `probabilities`.
        UsageError: fewer patients than groups.
    """
    y, p = probabilities(labels, predicted)
    if not 1 <= groups <= len(y):
        raise UsageError(f"{groups} groups cannot be made of {len(y)} patients")
    parts = np.array_split(np.argsort(p, kind="stable"), groups)
    n = np.array([len(part) for part in parts])
    mean, share = (np.array([values[part].mean() for part in parts]) for values in (p, y))
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    reach = Z95 / (1 + Z95**2 / n) * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    return Reliability(mean, share, centre - reach, centre + reach, n)


def _log_odds(labels: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.bool_], Array, Array]:
    """Labels, predictions and their log odds, which must differ."""
    y, p = probabilities(labels, predicted)
    x = log_odds(p)
    if np.ptp(x) < 1e-9:
        raise InputError("all predictions are the same: they have no calibration slope")
    return y, p, x


def _logistic(design: Array, y: NDArray[np.bool_], offset: Array | float = 0.0) -> Array:
    """Coefficients (d,) of a logistic regression without a penalty."""

    def loss(weights: Array) -> tuple[float, Array, Array]:
        odds = design @ weights + offset
        p = expit(odds)
        value = np.mean(np.logaddexp(0, odds) - y * odds)
        return float(value), design.T @ (p - y) / len(y), design.T @ (design * (p * (1 - p))[:, None]) / len(y)

    return newton(loss, np.zeros(design.shape[1]))


def _spline(x: Array) -> Array:
    """The curved part of a restricted cubic spline, (n, knots - 2): cubic between the knots, straight beyond them."""
    knots = np.unique(np.quantile(x, KNOTS))
    if len(knots) < 3:  # a few distinct predictions only
        return np.empty((len(x), 0))
    cubes = np.maximum(x[:, None] - knots, 0) ** 3
    share = (knots[-1] - knots[:-2]) / (knots[-1] - knots[-2])
    curved = cubes[:, :-2] - cubes[:, [-2]] * share + cubes[:, [-1]] * (share - 1)
    return curved / (knots[-1] - knots[0]) ** 3
