"""Time to event without covariates: who is still free of it, who had it, who is still seen.

One convention for ties throughout: at one time events come before censoring. Who is censored at t was free of the event
at t, so a study that ends for everyone at 10 years has a 10-year risk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import Array, follow_up


@dataclass(frozen=True)
class Steps:
    """A step function: `start` before the first of `times` (k,), `values` (k,) from each of them on."""

    times: Array
    values: Array
    start: float

    def at(self, t: ArrayLike) -> Array:
        """The value at t, a step at t taken; the shape of t."""
        return self._after(np.searchsorted(self.times, np.asarray(t), side="right"))

    def before(self, t: ArrayLike) -> Array:
        """The value just before t, a step at t not yet taken; the shape of t."""
        return self._after(np.searchsorted(self.times, np.asarray(t), side="left"))

    def _after(self, steps: NDArray[np.intp]) -> Array:
        return np.append(self.start, self.values)[steps]


def kaplan_meier(time: ArrayLike, event: ArrayLike) -> Steps:
    """Share free of every kind of event (Kaplan and Meier, 1958).

    Args:
        time, event: (n,), as `follow_up` wants them.

    Raises:
        InputError: as `follow_up`.
    """
    t, e = follow_up(time, event)
    times, at_risk, ended = _table(t, e > 0)
    return Steps(times, np.cumprod(1 - ended / at_risk), 1.0)


def aalen_johansen(time: ArrayLike, event: ArrayLike, cause: int = 1) -> Steps:
    """Cumulative incidence of one cause where the others rule it out (Aalen and Johansen, 1978). As `kaplan_meier`."""
    t, e = follow_up(time, event)
    times, at_risk, ended = _table(t, e > 0)
    of_cause = np.bincount(np.searchsorted(times, t[e == cause]), minlength=len(times))
    free_before = np.append(1.0, np.cumprod(1 - ended / at_risk)[:-1])
    return Steps(times, np.cumsum(free_before * of_cause / at_risk), 0.0)


def still_observed(time: ArrayLike, event: ArrayLike) -> Steps:
    """Share not yet censored, G: Kaplan-Meier of the censoring. The weights of IPCW are 1 / G.before(t).

    Args:
        time, event: (n,), as `follow_up` wants them.
    """
    t, e = follow_up(time, event)
    times, at_risk, lost = _table(t, e == 0)
    gone_first = np.isin(t, times) & (e > 0)  # an event at the time of a censoring came before it
    at_risk = at_risk - np.bincount(np.searchsorted(times, t[gone_first]), minlength=len(times))
    return Steps(times, np.cumprod(1 - lost / at_risk), 1.0)


def _table(time: Array, ended: NDArray[np.bool_]) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Distinct times at which something ended (k,), how many were at risk then, and how many ended."""
    times, counts = np.unique(time[ended], return_counts=True)
    return times, len(time) - np.searchsorted(np.sort(time), times, side="left"), counts
