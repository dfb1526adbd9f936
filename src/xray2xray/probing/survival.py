"""A time-to-event head: it learns from features (n, d), times and events, and predicts risk over time.

A head standardises its features and chooses an L2 penalty on a quarter of the training patients, as a `Probe` does.
Losses are means over rows, so a penalty means the same for any number of them. Events: 0 censored, 1 the event, 2 and
more another end that rules it out, such as death; see `statistics.checks.follow_up`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import InputError, UsageError, reading
from ..core.evidence import VIRTUAL
from ..io.files import write_npz
from ..io.npz import read_npz
from ..statistics.checks import follow_up
from ..statistics.concordance import harrell_c
from .cox import PartialLikelihood, breslow, fit_cox
from .head import Array, feature_rows, refuse_real, row_space, standardisation

FORMAT = "xray2xray-survival"
PENALTIES = tuple(float(p) for p in np.logspace(2, -4, 13))  # the strongest first: it wins a tie
HELD_OUT = 0.25  # share of the training patients on which the penalty is chosen
MINIMUM = 4  # patients with the event, so that one of them is held out


class Followed(NamedTuple):
    """Standardised features (n, d) of patients, how long they were followed (n,), and how that ended (n,)."""

    x: Array
    time: Array
    event: NDArray[np.int64]

    def take(self, rows: NDArray[np.intp]) -> "Followed":
        return Followed(self.x[rows], self.time[rows], self.event[rows])


class CoxHead:
    """Cox regression of event 1; every other end counts as censoring, so its risks are of a world without them.

    Args:
        label: what it predicts, such as `cvd`.
        features: which features it reads: `volumetric`, `vision` or `pixels`.
        evidence_level: of the data it is trained on.
        penalty: of the squared weights; None chooses one.
        seed: of the split on which it is chosen.

    Attributes, once it is fitted:
        mean_, scale_: (d,), of the features; weights_: (d,), log hazard ratio of one standard deviation of a feature.
        times_, jumps_: (k,), the baseline hazard of `breslow`; penalty_: as chosen.
        last_: the end of follow-up, beyond which nothing is predicted.
    """

    mean_: Array
    scale_: Array
    weights_: Array
    times_: Array
    jumps_: Array
    penalty_: float
    last_: float

    def __init__(
        self,
        label: str = "event",
        features: str = "features",
        evidence_level: str = VIRTUAL,
        penalty: float | None = None,
        seed: int = 0,
    ) -> None:
        self.label, self.features, self.evidence_level, self.penalty, self.seed = (
            label,
            features,
            evidence_level,
            penalty,
            seed,
        )

    def fit(
        self,
        features: ArrayLike,
        time: ArrayLike,
        event: ArrayLike,
        patients: ArrayLike | None = None,
        blocks: Sequence[int] = (),
    ) -> Self:
        """Learn from patients.

        Args:
            features: (n, d).
            time, event: (n,), in any unit of time.
            patients: (n,), whose each row is, so that nobody is on both sides of the split; by default all differ.
            blocks: how wide each of several sets of features is, see `standardisation`.

        Raises:
            InputError: what `follow_up` refuses, NaN, other lengths, or fewer than four patients with the event.
            UsageError: a negative penalty.
        """
        if self.penalty is not None and not 0 <= self.penalty < np.inf:
            raise UsageError(f"{self._name}: a penalty is a number from 0, got {self.penalty:g}")
        x, (t, e) = feature_rows(features, self._name), follow_up(time, event)
        _, owner = np.unique(np.arange(len(t)) if patients is None else np.asarray(patients), return_inverse=True)
        if not len(x) == len(t) == len(owner):
            raise InputError(f"{self._name}: {len(x)} features, {len(t)} times and {len(owner)} patients do not match")
        self.mean_, self.scale_ = standardisation(x, blocks)
        self.last_ = float(t.max())
        self._fit(Followed((x - self.mean_) / self.scale_, t, e), owner)
        return self

    def _fit(self, train: Followed, owner: NDArray[np.intp]) -> None:
        coordinates, basis = row_space(train.x)
        self.penalty_ = self._choose(train._replace(x=coordinates), owner)
        self.weights_ = fit_cox(coordinates, train.time, train.event == 1, self.penalty_) @ basis
        self.times_, self.jumps_ = breslow(train.x @ self.weights_, train.time, train.event == 1)

    def predict_risk(self, features: ArrayLike, evidence_level: str = VIRTUAL) -> Array:
        """A number that orders patients, float64 (n,), higher for an earlier event.

        Args:
            features: (n, d).
            evidence_level: where the features come from.

        Raises:
            UsageError: the head is not fitted, or a real radiograph for a head of virtual patients.
            InputError: features of another width, or NaN.
        """
        return self._rows(features, evidence_level) @ self.weights_

    def predict_survival(self, features: ArrayLike, times: ArrayLike, evidence_level: str = VIRTUAL) -> Array:
        """Probability to be free of the event at `times` (t,), float64 (n, t).

        Raises:
            UsageError, InputError: as `predict_risk`, or a time is negative or after the end of follow-up.
        """
        log_hazard, t = self.predict_risk(features, evidence_level), self._times(times)
        cumulative = np.append(0, np.cumsum(self.jumps_))[np.searchsorted(self.times_, t, side="right")]
        return np.exp(-np.outer(np.exp(log_hazard), cumulative))

    def predict_incidence(self, features: ArrayLike, times: ArrayLike, evidence_level: str = VIRTUAL) -> Array:
        """Probability of the event by `times` (t,), float64 (n, t). Raises as `predict_survival`."""
        return 1 - self.predict_survival(features, times, evidence_level)

    def score(self, features: ArrayLike, time: ArrayLike, event: ArrayLike, evidence_level: str = VIRTUAL) -> float:
        """Harrell's C of the predicted risk. Raises as `predict_risk` and `harrell_c`."""
        return harrell_c(time, event, self.predict_risk(features, evidence_level))

    def save(self, path: str | Path) -> None:
        """Write the fitted head into one .npz without pickle."""
        self._check_fitted()
        state = {name: value for name, value in vars(self).items() if name.endswith("_")}
        about = {
            "kind": type(self).__name__,
            "label": self.label,
            "features": self.features,
            "evidence_level": self.evidence_level,
        }
        write_npz(path, {"format": FORMAT, **about, **state})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A head that `save` wrote.

        Raises:
            InputError: the file is missing, truncated, not one of ours, or holds another kind of head.
        """
        what, remedy = f"is no usable {cls.__name__} file", "save the head again"
        with reading(path, what, remedy):
            stored = read_npz(path, what, remedy)
            if str(stored["format"]) != FORMAT or str(stored["kind"]) != cls.__name__:
                raise ValueError(f"it holds no {cls.__name__}")
            head = cls(str(stored["label"]), str(stored["features"]), str(stored["evidence_level"]))
            for name, value in stored.items():
                if name.endswith("_"):
                    setattr(head, name, value[()])
            head._check_fitted()
            return head

    @property
    def _name(self) -> str:
        return f"{self.label} head"

    def _check_fitted(self) -> None:
        if not hasattr(self, "mean_"):
            raise UsageError(f"the {self._name} is not fitted yet")

    def _rows(self, features: ArrayLike, evidence_level: str) -> Array:
        self._check_fitted()
        refuse_real(self._name, self.evidence_level, evidence_level)
        return (feature_rows(features, self._name, len(self.mean_), self.features) - self.mean_) / self.scale_

    def _times(self, times: ArrayLike) -> Array:
        t = np.atleast_1d(np.asarray(times, np.float64))
        if not ((t >= 0) & (t <= self.last_)).all():
            raise InputError(f"{self._name}: follow-up lasted from 0 to {self.last_:g}, so there is no risk at {t}")
        return t

    def _choose(self, train: Followed, owner: NDArray[np.intp]) -> float:
        """The penalty: the one that was asked for, or the best on held-out patients with and without the event."""
        had = np.bincount(owner, train.event == 1) > 0
        if had.sum() < MINIMUM:
            raise InputError(f"{self._name}: {had.sum()} patients had the event; {MINIMUM} are needed")
        if self.penalty is not None:
            return self.penalty
        rng = np.random.default_rng(self.seed)
        groups = [rng.permutation(np.flatnonzero(had == kind)) for kind in (True, False)]
        held = np.isin(owner, np.concatenate([g[: round(HELD_OUT * len(g))] for g in groups]))
        inner, test = train.take(np.flatnonzero(~held)), train.take(np.flatnonzero(held))
        return min(PENALTIES, key=lambda penalty: _held_out_loss(inner, test, penalty))


def _held_out_loss(train: Followed, test: Followed, penalty: float) -> float:
    """Minus the partial log likelihood of held-out patients."""
    weights = fit_cox(train.x, train.time, train.event == 1, penalty)
    return -PartialLikelihood.of(test.time, test.event == 1).value(test.x @ weights)
