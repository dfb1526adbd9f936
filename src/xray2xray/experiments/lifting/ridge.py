"""The strong linear baseline: ridge regression from the frontal to the lifted volume, taught by the network's patients.

All principal components are kept, which makes it a weighted sum of the training volumes: in the dual form the weights
follow from inner products of frontals alone. Every patient is there twice, as it is and mirrored.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve

from ...projection.frustum import Frustum
from .cohort import CELLS, FRUSTUM, Cohort

PENALTIES = np.logspace(-4, 1, 11)  # relative to the mean inner product of a frontal with itself
VIRTUAL_FOLDS = 4


@dataclass(frozen=True, eq=False)
class LiftedRidge:
    """Attributes:
    cohorts: the training patients, in the order of the rows.
    rows: (2 n, pixels) their frontals, centred; the second half mirrored.
    inverse: (2 n, 2 n) of the penalised inner products.
    share: (2 n,) weight of each row, sum one.
    errors: cross-validated mean square of each penalty, over scans that were left out with all their warps.
    """

    cohorts: tuple[Cohort, ...]
    centre: np.ndarray
    rows: np.ndarray
    inverse: np.ndarray
    share: np.ndarray
    penalty: float
    errors: np.ndarray

    def predict(self, views_p: np.ndarray) -> np.ndarray:
        """Portions (m, depth, rows, columns) float32, not negative, of views (m, size, size)."""
        kernel = (_flat(views_p) - self.centre) @ self.rows.T
        weights = kernel @ self.inverse
        weights += (1 - weights.sum(axis=1, keepdims=True)) * self.share  # what is not explained is the mean
        half = len(self.share) // 2
        found: np.ndarray | None = None
        row = 0
        for cohort in self.cohorts:
            for number in range(len(cohort)):
                portions = np.asarray(cohort[number][0], np.float32)
                part = weights[:, row, None, None, None] * portions
                part += weights[:, half + row, None, None, None] * portions[..., ::-1]
                found = part if found is None else found + part
                row += 1
        assert found is not None
        return np.maximum(found, 0)


def fit(cohorts: Mapping[str, Cohort], shares: Mapping[str, float], frustum: Frustum = FRUSTUM) -> LiftedRidge:
    """The ridge whose penalty does best on real scans left out one at a time, each with its warps."""
    names = [name for cohort in cohorts.values() for name in cohort.names]
    frontals = np.stack([_frontal(cohort, k, frustum) for cohort in cohorts.values() for k in range(len(cohort))])
    frontals = np.concatenate([frontals, frontals[..., ::-1]])
    share = np.concatenate([np.full(len(found), shares[kind] / len(found)) for kind, found in cohorts.items()])
    share = np.concatenate([share, share]) / 2
    x = _flat(frontals)
    centre = share @ x
    rows = (x - centre).astype(np.float32)
    kernel = _kernel(rows)
    folds = np.array([_fold(name) for name in names] * 2)
    gram = _gram(cohorts)
    held = [fold for fold in np.unique(folds) if not fold.startswith("virtual")]
    errors = np.array(
        [
            np.mean([_error(kernel, gram, share, folds == fold, penalty, names) for fold in held])
            for penalty in PENALTIES
        ]
    )
    penalty = float(PENALTIES[errors.argmin()])
    everyone = np.ones(len(share), bool)
    return LiftedRidge(
        tuple(cohorts.values()), centre, rows, _inverse(kernel, share, everyone, penalty), share, penalty, errors
    )


def _frontal(cohort: Cohort, number: int, frustum: Frustum) -> np.ndarray:
    return np.nan_to_num(np.asarray(cohort[number][1], np.float32)[frustum.detector])


def _flat(views_p: np.ndarray) -> np.ndarray:
    """(n, pixels) in cells of two pixels, clipped as the metrics are."""
    n = views_p.shape[-1] // CELLS
    cells = np.clip(views_p, 0, 10).reshape(len(views_p), CELLS, n, CELLS, n).mean(axis=(2, 4))
    return cells.reshape(len(views_p), -1).astype(np.float32)


def _kernel(rows: np.ndarray) -> np.ndarray:
    return rows @ rows.T


def _fold(name: str) -> str:
    kind, source = name.split("-", 1)
    if kind in ("virtual", "whole"):
        return f"virtual {int(source) % VIRTUAL_FOLDS}"
    return source if kind == "scan" else source.rsplit("-", 1)[0]


def _gram(cohorts: Mapping[str, Cohort]) -> np.ndarray:
    """(2 n, 2 n) inner products of the volumes, read in slabs of a few planes."""
    first = next(iter(cohorts.values()))[0][0]
    n = sum(map(len, cohorts.values()))
    gram = np.zeros((2 * n, 2 * n), np.float32)
    for planes in np.array_split(np.arange(first.shape[0]), min(8, first.shape[0])):
        slab = np.stack(
            [
                np.asarray(cohort[k][0][planes[0] : planes[-1] + 1], np.float32)
                for cohort in cohorts.values()
                for k in range(len(cohort))
            ]
        )
        same = slab.reshape(n, -1)
        turned = np.ascontiguousarray(slab[..., ::-1]).reshape(n, -1)
        direct, crossed = same @ same.T, same @ turned.T
        gram += np.block([[direct, crossed], [crossed, direct]])
    return gram


def _inverse(kernel: np.ndarray, share: np.ndarray, rows: np.ndarray, penalty: float) -> np.ndarray:
    """(n, n) with zeros where a row is left out: from a centred kernel row to the weights of the training volumes."""
    chosen = np.flatnonzero(rows)
    s = share[chosen] / share[chosen].sum()
    k = kernel[np.ix_(chosen, chosen)].astype(np.float64)
    mean = s @ k
    centred = k - mean[None] - mean[:, None] + s @ mean
    scale = float(s @ centred.diagonal())
    system = centred + np.diag(penalty * scale / (s * len(s)))
    found = np.zeros(kernel.shape)
    found[np.ix_(chosen, chosen)] = solve(system, np.eye(len(s)), assume_a="pos")
    return found


def _error(
    kernel: np.ndarray, gram: np.ndarray, share: np.ndarray, left_out: np.ndarray, penalty: float, names: list[str]
) -> float:
    """Mean square of the scan of a fold, in the cells of the volume, relative to the volume's own."""
    train = ~left_out
    s = np.where(train, share, 0)
    s /= s.sum()
    (target,) = (k for k in np.flatnonzero(left_out) if k < len(names) and names[k].startswith("scan"))
    row = kernel[target] - s @ kernel
    row -= s @ row
    weights = row @ _inverse(kernel, share, train, penalty)
    weights += (1 - weights.sum()) * s
    square = gram[target, target] - 2 * weights @ gram[:, target] + weights @ gram @ weights
    return float(square / gram[target, target])
