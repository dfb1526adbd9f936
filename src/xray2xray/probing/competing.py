"""An event that another end may rule out: two cause-specific hazards make one cumulative incidence."""

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError
from .cox import breslow, fit_cox, held_out_cox
from .head import Array
from .survival import Followed, SurvivalHead


class CompetingRisksHead(SurvivalHead):
    """A Cox regression of the event and one of every other end, joined as Aalen and Johansen (1978) do:

        F(t | x) = sum over t_j <= t of S(t_j- | x) dH_event(t_j | x),   S = product of (1 - dH_event - dH_other)

    (Putter, Fiocco and Geskus, 2007). `predict_survival` is free of both, `predict_incidence` the event's F, and
    `predict_risk` F at the end of follow-up. Patients who die of something else have no event to come: where they are
    many, `CoxHead` predicts too many events.

    Attributes:
        weights_: (2, d), of the event and of other ends, each with its own penalty of penalty_ (2,).
        times_: (k,), when something ended; jumps_: (2, k), the baseline hazards there.
    """

    weights_: Array
    times_: Array
    jumps_: Array
    penalty_: Array

    def _fit(self, train: Followed, owner: NDArray[np.intp]) -> None:
        if not (train.event > 1).any():
            raise InputError(f"{self._name}: no patient ended otherwise (event 2), so a CoxHead is enough")
        self.times_ = np.unique(train.time[train.event > 0])
        self.weights_, self.jumps_ = np.empty((2, train.x.shape[1])), np.zeros((2, len(self.times_)))
        self.penalty_ = np.empty(2)
        for i, died in enumerate((train.event == 1, train.event > 1)):
            one = train._replace(event=died.astype(np.int64))
            self.penalty_[i] = self._choose(one, owner, held_out_cox)
            self.weights_[i] = fit_cox(train.x, train.time, died, self.penalty_[i])
            times, jumps = breslow(train.x @ self.weights_[i], train.time, died)
            self.jumps_[i, np.searchsorted(self.times_, times)] = jumps

    def _risk(self, x: Array) -> Array:
        return self._incidence(x, np.array([self.last_]))[:, 0]

    def _survival(self, x: Array, times: Array) -> Array:
        return self._at(self._curves(x)[0], times)

    def _incidence(self, x: Array, times: Array) -> Array:
        return self._at(self._curves(x)[1], times)

    def _curves(self, x: Array) -> tuple[Array, Array]:
        """S and F at 0 and after each of times_, both (n, k + 1)."""
        event, other = np.exp(x @ self.weights_.T).T[:, :, None] * self.jumps_[:, None]
        both = event + other
        # late jumps of a high-risk patient may exceed 1: then all that is left goes
        over = np.maximum(both, 1)
        free = np.column_stack([np.ones(len(x)), np.cumprod(1 - both / over, axis=1)])
        return free, np.column_stack([np.zeros(len(x)), np.cumsum(free[:, :-1] * event / over, axis=1)])

    def _at(self, curves: Array, times: Array) -> Array:
        return curves[:, np.searchsorted(self.times_, times, side="right")]
