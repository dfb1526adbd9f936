"""Ridge regression of a number on features, its penalty chosen on patients it is not fitted on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import InputError
from .head import Array, feature_rows, row_space, standardisation

PENALTIES = tuple(float(p) for p in np.logspace(6, -1, 15))  # the strongest first: it wins a tie
HELD_OUT = 0.25  # share of the patients on whom the penalty is chosen
FEWEST = 8  # patients


def fit_number(
    x: ArrayLike,
    y: ArrayLike,
    *,
    label: str,
    seed: int = 0,
    patients: ArrayLike | None = None,
    held: NDArray[np.bool_] | None = None,
    blocks: Sequence[int] = (),
) -> "NumberHead":
    """Choose the penalty by the squared error on held-out patients, then fit on all, or on those not `held`.

    Args:
        x: features (n, d); y: (n,), all known.
        label: for messages.
        seed: of the inner split.
        patients: (n,), whose each row is, so that nobody is on both sides; by default all differ.
        held: (n,), rows that choose the penalty and are not fitted on, instead of a quarter of the patients.
        blocks: how wide each of several sets of features is, see `standardisation`.

    Raises:
        InputError: fewer than eight patients, NaN, or one value only.
    """
    rows, y = feature_rows(x, f"{label} regression"), np.asarray(y, np.float64)
    _, owner = np.unique(np.arange(len(y)) if patients is None else np.asarray(patients), return_inverse=True)
    if len(rows) != len(y) or owner.max(initial=-1) + 1 < FEWEST or not np.isfinite(y).all() or np.ptp(y) == 0:
        raise InputError(
            f"{label}: a regression needs {FEWEST} patients with different, known numbers, got {len(y)} rows"
        )
    if held is None:
        order = np.random.default_rng(seed).permutation(owner.max() + 1)
        inner = ~np.isin(owner, order[: round(HELD_OUT * len(order))])
        everyone = np.ones(len(y), bool)
    else:
        inner = everyone = ~held
    trials = _Ridge.of(rows[inner], y[inner], blocks)
    errors = [np.mean((trials.fit(p).predict(rows[~inner]) - y[~inner]) ** 2) for p in PENALTIES]
    return _Ridge.of(rows[everyone], y[everyone], blocks).fit(PENALTIES[int(np.argmin(errors))])


class NumberHead:
    """A fitted line: features (n, d) -> numbers (n,)."""

    def __init__(self, mean: Array, scale: Array, weights: Array, intercept: float) -> None:
        self.mean, self.scale, self.weights, self.intercept = mean, scale, weights, intercept

    def predict(self, x: ArrayLike) -> NDArray[np.float64]:
        rows = feature_rows(x, "regression", len(self.mean))
        found: NDArray[np.float64] = (rows - self.mean) / self.scale @ self.weights + self.intercept
        return found


class _Ridge:
    """Standardised features as coordinates of their rows' span, for all penalties; see `row_space`."""

    def __init__(self, mean: Array, scale: Array, values: Array, left: Array, right: Array, intercept: float) -> None:
        self._of = mean, scale, values, left, right, intercept

    @classmethod
    def of(cls, x: Array, y: Array, blocks: Sequence[int]) -> "_Ridge":
        mean, scale = standardisation(x, blocks)
        coordinates, basis = row_space((x - mean) / scale)
        u, values, v = np.linalg.svd(coordinates, full_matrices=False)
        return cls(mean, scale, values, u.T @ (y - y.mean()), basis.T @ v.T, float(y.mean()))

    def fit(self, penalty: float) -> NumberHead:
        mean, scale, values, left, right, intercept = self._of
        return NumberHead(mean, scale, right @ (values / (values**2 + penalty) * left), intercept)
