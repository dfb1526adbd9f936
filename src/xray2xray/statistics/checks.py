"""What the statistics ask of their arrays, and how they say so."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import InputError, UsageError

Array = NDArray[np.floating]


def binary(labels: ArrayLike, *scores: ArrayLike) -> tuple[NDArray[np.bool_], Array]:
    """Labels as bool (n,), and the vectors of scores as float64 (k, n).

    Raises:
        InputError: other lengths, NaN, a label that is neither 0 nor 1, or one class only.
    """
    y, vectors = np.asarray(labels, np.float64), [np.asarray(s, np.float64) for s in scores]
    if y.ndim != 1 or any(v.shape != y.shape for v in vectors):
        raise InputError(f"labels and scores must be vectors of one length, got {[a.shape for a in (y, *vectors)]}")
    finite(y, *vectors)
    if not np.isin(y, (0, 1)).all():
        raise InputError(f"labels must be 0 or 1, got {np.setdiff1d(y, (0, 1))[:3].tolist()}")
    if y.all() or not y.any():
        raise InputError(f"all {len(y)} labels are {'1' if y.all() else '0'}: two classes are needed")
    return y == 1, np.array(vectors).reshape(len(vectors), len(y))


def probabilities(labels: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.bool_], Array]:
    """Labels as bool (n,) and predicted probabilities float64 (n,).

    Raises:
        InputError: as `binary`, or a prediction outside [0, 1].
    """
    y, (p,) = binary(labels, predicted)
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"probabilities must lie in [0, 1], got {p.min():g} to {p.max():g}")
    return y, p


def follow_up(time: ArrayLike, event: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    """Times float64 (n,) and events int64 (n,): 0 censored, 1 the event, 2 and more another end that rules it out.

    Raises:
        InputError: other lengths, NaN, a negative time, an event that is no such number, or nobody with event 1.
    """
    t, e = np.asarray(time, np.float64), np.asarray(event, np.float64)
    if t.ndim != 1 or e.shape != t.shape:
        raise InputError(f"time and event must be vectors of one length, got {t.shape} and {e.shape}")
    finite(t, e)
    if t.size and t.min() < 0:
        raise InputError(f"follow-up times must not be negative, got {t.min():g}")
    if ((e < 0) | (e != np.round(e))).any():
        raise InputError("events must be 0 (censored), 1 (the event), 2 (another end) and so on")
    if not (e == 1).any():
        raise InputError(f"none of {len(t)} patients had the event, so nothing can be said about it")
    return t, e.astype(np.int64)


def check_level(level: float) -> None:
    """Raises UsageError for a level of confidence such as 95, which is meant as 0.95."""
    if not 0 < level < 1:
        raise UsageError(f"a level of confidence lies between 0 and 1, such as 0.95; got {level:g}")


def finite(*arrays: Array) -> None:
    """Raises InputError where a number is NaN or infinite."""
    if not all(np.isfinite(a).all() for a in arrays):
        raise InputError("NaN or infinite numbers; leave those patients out")
