"""AUROC at a horizon under censoring: who has the event by then, against who is then still free of it."""

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from .auroc import auroc
from .checks import Array, finite, follow_up
from .life_tables import still_observed


def auroc_at(time: ArrayLike, event: ArrayLike, risk: ArrayLike, horizons: ArrayLike) -> Array:
    """Cumulative/dynamic AUROC with inverse-probability-of-censoring weights, float64 (h,).

    Cases had the event by the horizon t, controls had not: they are seen at t, or ended otherwise before (Blanche,
    Dartigues and Jacqmin-Gadda, 2013, second definition; without other ends: Uno et al., 2007). Case and other end
    weigh 1 / G(T-), who is seen at t 1 / G(t-); who was lost before t counts through those weights only.

    Args:
        time, event: (n,), as `follow_up` wants them.
        risk: (n,), or (n, h) for a risk of its own at each horizon; higher means more likely.
        horizons: (h,), in the unit of `time`.

    Raises:
        InputError: as `follow_up`, a horizon without cases or controls, or `risk` is NaN or of another shape.
    """
    t, e = follow_up(time, event)
    limits = np.atleast_1d(np.asarray(horizons, np.float64))
    scores = np.asarray(risk, np.float64)
    scores = np.repeat(scores[:, None], len(limits), axis=1) if scores.ndim == 1 else scores
    if scores.shape != (len(t), len(limits)):
        raise InputError(f"risk must be ({len(t)},) or ({len(t)}, {len(limits)}), got {scores.shape}")
    finite(scores, limits)
    observed = still_observed(t, e)
    found = np.empty(len(limits))
    for i, limit in enumerate(limits):
        free = (t > limit) | ((t == limit) & (e == 0))
        case, known = (e == 1) & ~free, free | (e > 0)
        if not case.any() or not (known & ~case).any():
            raise InputError(f"at {limit:g} there are no {'controls' if case.any() else 'cases'}: take another horizon")
        weight = np.zeros(len(t))
        weight[known] = 1 / observed.before(np.minimum(t[known], limit))
        found[i] = auroc(case, scores[:, i], weight[None])[0]
    return found
