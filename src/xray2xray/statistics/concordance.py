"""Concordance of a risk with the order of events.

Who ended otherwise (event 2) can never have the event, and counts as at risk for ever (Wolbers et al., 2009).
"""

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import InputError
from .auroc import won_pairs
from .checks import Array, finite, follow_up
from .life_tables import still_observed


def harrell_c(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Of the pairs of which one is known to have the event first, the share whose earlier one has the higher risk.

    Tied risks count half, two events at one time no pair (Harrell, Lee and Mark, 1996). The pairs depend on the
    censoring; `uno_c` does not.

    Args:
        time, event: (n,), as `follow_up` wants them.
        risk: (n,), higher means earlier.

    Raises:
        InputError: as `follow_up`, no pair can be compared, or `risk` is NaN or of another length.
    """
    return float(_concordance(time, event, risk, np.inf, weighted=False))


def harrell_c_of_draws(time: ArrayLike, event: ArrayLike, risk: ArrayLike, counts: ArrayLike) -> Array:
    """Harrell's C on resamples of patients, float64 (draws,); NaN where no pair can be compared.

    Args:
        time, event, risk: as `harrell_c`.
        counts: (draws, n), how often each patient is drawn.
    """
    return _concordance(time, event, risk, np.inf, weighted=False, counts=counts)


def uno_c(time: ArrayLike, event: ArrayLike, risk: ArrayLike, horizon: float = np.inf) -> float:
    """Concordance up to a horizon with every pair weighted by one over its probability to be seen.

    Uno et al. (2011); with other ends Wolbers et al. (2014). A pair is seen if the earlier one is followed to his event
    and the other to it, or to his other end: 1 / (G(T_i-) G(min(T_i, T_j)-)). Without other ends that is 1 / G(T_i-)^2.

    Args:
        time, event, risk: as `harrell_c`.
        horizon: only events before it count; choose it where patients are still followed, as weights beyond explode.

    Raises:
        InputError: as `harrell_c`.
    """
    return float(_concordance(time, event, risk, horizon, weighted=True))


def _concordance(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    horizon: float,
    weighted: bool,
    counts: ArrayLike | None = None,
) -> Array:
    t, e = follow_up(time, event)
    score: Array = np.asarray(risk, np.float64)
    if score.shape != t.shape:
        raise InputError(f"{len(t)} patients want as many risks, got {score.shape}")
    finite(score)
    case = (e == 1) & (t < horizon)
    first = t[case, None]
    weight = ((first < t) | ((first == t) & (e == 0)) | (e > 1)).astype(np.float64)
    if weighted:
        seen = still_observed(t, e).before(t)
        weight /= seen[case, None] * np.maximum(seen[case, None], seen)  # G falls, so the larger is the earlier one's
    if not weight.any():
        raise InputError("no two patients can be compared: nobody was followed beyond the first event")
    drawn = np.ones((1, len(t))) if counts is None else np.asarray(counts, np.float64)
    pairs = ((drawn[:, case] @ weight) * drawn).sum(axis=1)
    won = ((drawn[:, case] @ (weight * won_pairs(score[case], score))) * drawn).sum(axis=1)
    found = np.divide(won, pairs, out=np.full(len(drawn), np.nan), where=pairs > 0)
    return found[0] if counts is None else found
