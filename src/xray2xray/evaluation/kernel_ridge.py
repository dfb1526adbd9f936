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
MIRRORED = 2000  # studies; of more the mirror images gain nothing, and take eight times as long


@dataclass(frozen=True, eq=False)
class KernelRidge:
    """Ridge regression in its dual form: a prediction is a weighted sum of the training views, with weights that follow
    from inner products of input views alone (Saunders, Gammerman and Vovk, ICML 1998, with a linear kernel).

    Beside `RidgePCA` it keeps every component and chooses the penalty of each angle with all patients left out in turn,
    each with all views that were made of him. That matters where real scans, few and each warped many times, teach it.

    Attributes:
        views: uint16 (n, angles, h, w), the training views.
        share: (rows,) weight of each in the fit, sum one; 2 n rows where mirror images follow the studies.
        centre, rows: (pixels,) mean of the inputs, and (rows, pixels) inputs without it, times the root of their share.
        values, vectors: (rows,) and (rows, rows), of the rows' inner products, see `decomposed`.
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
        mirror: bool = False,
        seed: int = 0,
    ) -> "KernelRidge":
        """Fit on training views, uint16 (n, angles, h, w).

        Args:
            patients: (n,), whose each is; by default every study is another patient.
            weight: (n,), of each study; by default all alike.
            mirror: learn from the mirror images, too, which are the views of a mirrored patient in reverse order; of a
                frontal and symmetric angles, and of at most `MIRRORED` studies.
            seed: of the sketch.

        Raises:
            InputError: fewer than 10 studies or two patients.
        """
        n, angles = views.shape[:2]
        if n < LEAST or (patients is not None and len(set(patients)) < 2):
            raise InputError(f"kernel_ridge needs at least {LEAST} training studies of two patients, it is given {n}")
        share = np.ones(n) if weight is None else np.asarray(weight, np.float64)
        owners: Sequence[str | int] = range(n) if patients is None else patients
        copies = 2 if mirror and n <= MIRRORED else 1
        share = np.tile(share / share.sum(), copies) / copies
        root = np.sqrt(share).astype(np.float32)[:, None]
        x = _with_mirrored(views, input_index, copies)
        centre = (share @ x).astype(np.float32)
        rows = root * (x - centre)
        values, vectors = decomposed(rows, root[:, 0])
        # random projections keep squared lengths on average (Johnson and Lindenstrauss, 1984)
        sketch = np.random.default_rng(seed).normal(size=(x.shape[1], SKETCH)).astype(np.float32)
        targets = np.empty((len(x), angles, SKETCH), np.float32)
        for angle in progress(range(angles), "kernel_ridge"):
            target = _with_mirrored(views, angle, copies)
            targets[:, angle] = root * ((target - (share @ target).astype(np.float32)) @ sketch)
        candidates, groups = PENALTIES * values[:-1].mean(), _groups([*owners] * copies, len(x))
        along = vectors.T @ targets.reshape(len(x), -1)
        errors = np.stack(
            [_by_angle(left_out_residuals(values, vectors, along, groups, p), angles) for p in candidates]
        )
        penalty = candidates[errors.argmin(axis=0)]
        return cls(views, share, centre, rows, values, vectors.astype(np.float32), penalty)

    def weights(self, inputs: Array, angle: int) -> Array:
        """(m, rows): how much of each training view is in the prediction at an angle; each row's sum is one."""
        kernel = (inputs.reshape(len(inputs), -1) - self.centre) @ self.rows.T
        spectrum = (self.values + self.penalty[angle]).astype(np.float32)
        return ((kernel @ self.vectors) / spectrum) @ self.vectors.T * np.sqrt(self.share) + self.share

    def predict(self, inputs: Array) -> Array:
        """Unit inputs (m, h, w) -> unit views (m, angles, h, w)."""
        n, angles = self.views.shape[:2]
        found = np.empty((len(inputs), *self.views.shape[1:]), np.float32)
        for angle in range(angles):
            weights = self.weights(inputs, angle).astype(np.float32)
            found[:, angle] = (weights[:, :n] @ _pixels(self.views, angle)).reshape(inputs.shape)
            if len(self.share) > n:
                mirrored = weights[:, n:] @ _pixels(self.views, angles - 1 - angle)
                found[:, angle] += mirrored.reshape(inputs.shape)[..., ::-1]
        return np.clip(found, 0, 1)


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


def _groups(patients: Sequence[str | int], n: int) -> list[NDArray[np.intp]]:
    """Rows of each patient that has several."""
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    if len(owner) != n:
        raise InputError(f"{len(owner)} patients were named for {n} studies")
    rows = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    return [one for one in rows if len(one) > 1]


def _pixels(views: Views, angle: int) -> Array:
    """One angle of all studies as float32 rows (n, pixels)."""
    return unit_of(views[:, angle]).reshape(len(views), -1)


def _with_mirrored(views: Views, angle: int, copies: int) -> Array:
    """The same of every row: of two copies the second is the mirror image from the opposite angle."""
    as_it_is = _pixels(views, angle)
    if copies == 1:
        return as_it_is
    opposite = unit_of(views[:, views.shape[1] - 1 - angle, :, ::-1]).reshape(len(views), -1)
    return np.concatenate([as_it_is, opposite])
