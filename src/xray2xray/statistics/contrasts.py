"""Many contrasts, and the claim that there is no difference."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError, UsageError
from .checks import Array

K = TypeVar("K", bound=Hashable)


def holm(p_values: ArrayLike) -> Array:
    """p-values (m,) adjusted for their number: rejecting those below 0.05 keeps the family-wise error (Holm, 1979).

    Raises:
        InputError: no p-values, NaN, or outside [0, 1].
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not p.size or not ((p >= 0) & (p <= 1)).all():
        raise InputError("Holm's method wants a vector of p-values in [0, 1]")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def holm_by_name(p_values: Mapping[K, float], primary: K | None = None) -> dict[K, float]:
    """p of contrasts that are read side by side, adjusted by `holm`; the primary one's, if there is one, as it is."""
    secondary = {name: p for name, p in p_values.items() if name != primary}
    adjusted = holm(list(secondary.values())).tolist() if secondary else []
    return {**p_values, **dict(zip(secondary, adjusted, strict=True))}


def equivalent(bounds: tuple[float, float] | None, margin: float) -> bool:
    """Does the interval of a difference lie within -margin to margin?

    With a 90 % interval it is two one-sided tests at 5 % (Schuirmann, 1987), with a 95 % one the stricter 2.5 %. No
    interval, or one that reaches beyond, shows nothing: not to have found a difference is not to have found none.

    Raises:
        UsageError: the margin, to be named before the run, is not positive.
    """
    if not margin > 0:
        raise UsageError(f"a margin of equivalence must be positive, got {margin:g}")
    return bounds is not None and -margin < bounds[0] <= bounds[1] < margin
