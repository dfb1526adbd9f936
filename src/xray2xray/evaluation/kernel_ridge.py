"""The strong linear baseline: ridge regression from the input view to all views with every component kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import InputError
from ..parallel.progress import progress
from .metrics import Array
from .predictors import Views, unit_of

PENALTIES = np.logspace(-4, 2, 13)  # relative to the mean eigenvalue of the inner products
SKETCH = 32  # numbers a view that stand for its squared error where the penalty is chosen
LEAST = 10


@dataclass(frozen=True, eq=False)
class KernelRidge:
    """Ridge regression in its dual form: a prediction is a weighted sum of the training views, with weights that follow
    from inner products of input views alone (Saunders, Gammerman and Vovk, ICML 1998, with a linear kernel).

    Beside `RidgePCA` it keeps every component and chooses the penalty of each angle with all patients left out in turn,
    each with all views that were made of him. That matters where real scans, few and each warped many times, teach it.

    Attributes:
        views: uint16 (n, angles, h, w), the training views.
        share: (n,) weight of each in the fit, sum one.
        centre, rows: (pixels,) mean of the inputs, and (n, pixels) inputs without it, times the root of their share.
        values, vectors: (n,) and (n, n), of the rows' inner products, see `decomposed`.
        penalty: (angles,), on the scale of `values`.
    """

    views: Views
    share: Array
    centre: Array
    rows: Array
    values: Array
    vectors: Array
    penalty: Array

    @classmethod
    def fit(
        cls,
        views: Views,
        input_index: int,
        patients: Sequence[str] | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
    ) -> "KernelRidge":
        """Fit on training views, uint16 (n, angles, h, w).

        Args:
            patients: (n,), whose each is; by default every study is another patient.
            weight: (n,), of each study; by default all alike.
            seed: of the sketch.

        Raises:
            InputError: fewer than 10 studies or two patients.
        """
        n, angles = views.shape[:2]
        if n < LEAST or (patients is not None and len(set(patients)) < 2):
            raise InputError(f"kernel_ridge needs at least {LEAST} training studies of two patients, it is given {n}")
        share = np.ones(n) if weight is None else np.asarray(weight, np.float64)
        share = share / share.sum()
        root = np.sqrt(share).astype(np.float32)[:, None]
        x = _pixels(views, input_index)
        centre = (share @ x).astype(np.float32)
        rows = root * (x - centre)
        values, vectors = decomposed(rows, root[:, 0])
        # random projections keep squared lengths on average (Johnson and Lindenstrauss, 1984)
        sketch = np.random.default_rng(seed).normal(size=(x.shape[1], SKETCH)).astype(np.float32)
        targets = np.empty((n, angles, SKETCH), np.float32)
        for angle in progress(range(angles), "kernel_ridge"):
            target = _pixels(views, angle)
            targets[:, angle] = root * ((target - (share @ target).astype(np.float32)) @ sketch)
        candidates, groups = PENALTIES * values[:-1].mean(), _groups(patients, n)
        along = vectors.T @ targets.reshape(n, -1)
        errors = np.stack(
            [_by_angle(left_out_residuals(values, vectors, along, groups, p), angles) for p in candidates]
        )
        penalty = candidates[errors.argmin(axis=0)]
        return cls(views, share, centre, rows, values, vectors.astype(np.float32), penalty)

    def weights(self, inputs: Array, angle: int) -> Array:
        """(m, n): how much of each training view is in the prediction at an angle; each row's sum is one."""
        kernel = (inputs.reshape(len(inputs), -1) - self.centre) @ self.rows.T
        spectrum = (self.values + self.penalty[angle]).astype(np.float32)
        return ((kernel @ self.vectors) / spectrum) @ self.vectors.T * np.sqrt(self.share) + self.share

    def predict(self, inputs: Array) -> Array:
        """Unit inputs (m, h, w) -> unit views (m, angles, h, w)."""
        parts = [
            self.weights(inputs, angle).astype(np.float32) @ _pixels(self.views, angle)
            for angle in range(self.views.shape[1])
        ]
        return np.clip(np.stack(parts, axis=1), 0, 1).reshape(len(inputs), *self.views.shape[1:])


def decomposed(rows: Array, root: Array) -> tuple[Array, Array]:
    """Eigenvalues and -vectors of the inner products of centred rows times the root of their share.

    The last is the mean, with an infinite value: an intercept has no penalty, so it is never left to the rows. Without
    this a patient who is left out follows from the others, as all rows add up to nothing.
    """
    gram = (rows @ rows.T).astype(np.float64)
    root = root.astype(np.float64) / np.linalg.norm(root)
    values, vectors = np.linalg.eigh(gram + 2 * max(gram.trace(), 1e-12) * np.outer(root, root))
    values = np.maximum(values, 0)
    values[-1] = np.inf
    return values, vectors


def left_out_residuals(
    values: Array, vectors: Array, along: Array, groups: Sequence[NDArray[np.intp]], penalty: float
) -> Array:
    """Residuals (n, t) of each patient's targets, predicted without him, in closed form.

    With A the inverse of the penalised inner products, those of a group that was left out are A_gg^-1 (A y)_g (Allen's
    PRESS; Golub, Heath and Wahba, Technometrics 21:215, 1979, for one at a time).

    Args:
        values, vectors: see `decomposed`.
        along: (n, t) targets, weighted as the inner products are, times the transposed vectors.
        groups: rows of each patient that has several; every other row is a patient.
    """
    damped = vectors / (values + penalty)
    solved = damped @ along
    residuals = solved / np.einsum("ij,ij->i", damped, vectors)[:, None]
    for rows in groups:
        residuals[rows] = np.linalg.solve(damped[rows] @ vectors[rows].T, solved[rows])
    return residuals


def _by_angle(residuals: Array, angles: int) -> Array:
    """(n, angles * SKETCH) -> squared error of each angle, (angles,)."""
    return np.square(residuals).reshape(len(residuals), angles, -1).sum(axis=(0, 2))


def _groups(patients: Sequence[str] | None, n: int) -> list[NDArray[np.intp]]:
    """Rows of each patient that has several."""
    if patients is None:
        return []
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    if len(owner) != n:
        raise InputError(f"{len(owner)} patients were named for {n} studies")
    rows = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    return [one for one in rows if len(one) > 1]


def _pixels(views: Views, angle: int) -> Array:
    """One angle of all studies as float32 rows (n, pixels)."""
    return unit_of(views[:, angle]).reshape(len(views), -1)
