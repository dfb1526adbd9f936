"""The linear baseline: ridge regression from the principal components of the input view to all views."""

from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from ..parallel.progress import progress
from .metrics import Array
from .predictors import Views, unit_of

COMPONENTS = 200


@dataclass(frozen=True)
class RidgePCA:
    """Ridge regression from the PCA scores of the input view to every pixel of every angle.

    In the basis of the principal components the normal equations are diagonal, so one penalty or thirteen cost the
    same; all arrays stay float32 and one angle is in memory as floats at a time.

    Attributes:
        mean, basis: (pixels,) and (pixels, k) of the input view.
        weights, offset: (angles, k, pixels) and (angles, pixels).
        penalty: (angles,), chosen on a fifth of the training part, relative to the mean variance of a component.
    """

    mean: Array
    basis: Array
    weights: Array
    offset: Array
    penalty: Array
    shape: tuple[int, int]

    @classmethod
    def fit(cls, views: Views, input_index: int, components: int = COMPONENTS, seed: int = 0) -> "RidgePCA":
        """Fit on training views, uint16 (n, angles, h, w); 2,000 cases at 128 pixels take about a minute on 2 cores."""
        n, angles, height, width = views.shape
        if n < 10:
            raise InputError(f"ridge_pca needs at least 10 training patients, the store holds {n}")
        order = np.random.default_rng(seed).permutation(n)
        held, inner = order[: n // 5], order[n // 5 :]
        inputs = _pixels(views, input_index)
        inner_pca, full_pca = _PCA.fit(inputs[inner], components), _PCA.fit(inputs, components)
        held_scores = inner_pca.scores(inputs[held])
        relative = np.logspace(-4, 2, 13)

        weights = np.empty((angles, full_pca.basis.shape[1], height * width), np.float32)
        offset = np.empty((angles, height * width), np.float32)
        penalty = np.empty(angles)
        for angle in progress(range(angles), "ridge_pca"):
            target = _pixels(views, angle)
            errors = _held_out_errors(inner_pca, held_scores, target[inner], target[held], relative)
            penalty[angle] = relative[np.argmin(errors)]
            offset[angle] = target.mean(axis=0)
            products = full_pca.train_scores.T @ (target - offset[angle])
            weights[angle] = products * full_pca.shrinkage(penalty[angle])[:, None]
        return cls(full_pca.mean, full_pca.basis, weights, offset, penalty, (height, width))

    def predict(self, inputs: Array) -> Array:
        scores = (inputs.reshape(len(inputs), -1) - self.mean) @ self.basis
        flat = np.stack([scores @ w + o for w, o in zip(self.weights, self.offset, strict=True)], axis=1)
        return np.clip(flat, 0, 1).reshape(len(inputs), len(self.weights), *self.shape)


@dataclass(frozen=True)
class _PCA:
    mean: Array
    basis: Array  # (pixels, k), orthonormal columns
    train_scores: Array  # (n, k), orthogonal columns
    variance: Array  # (k,), squared length of each column of train_scores

    @classmethod
    def fit(cls, x: Array, components: int) -> "_PCA":
        mean = x.mean(axis=0)
        centred = x - mean
        # n is far below the number of pixels, so the n x n Gram matrix gives the same components much sooner
        values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
        values, vectors = values[::-1], vectors[:, ::-1]
        k = min(components, int(np.sum(values > 1e-6 * max(values[0], 1e-12))))
        lengths = np.sqrt(values[:k])
        basis = centred.T @ (vectors[:, :k] / lengths).astype(np.float32)
        return cls(mean, basis, (vectors[:, :k] * lengths).astype(np.float32), values[:k].astype(np.float32))

    def scores(self, x: Array) -> Array:
        return (x - self.mean) @ self.basis

    def shrinkage(self, relative_penalty: float) -> Array:
        """(k,): 1 / (variance + penalty), the diagonal inverse of the ridge normal equations."""
        return 1 / (self.variance + np.float32(relative_penalty * self.variance.mean()))


def _held_out_errors(pca: _PCA, held_scores: Array, inner: Array, held: Array, relative: Array) -> Array:
    """Squared error on the held-out cases for each penalty, expanded so that no prediction is ever formed."""
    mean = inner.mean(axis=0)
    products = pca.train_scores.T @ (inner - mean)  # (k, pixels)
    residual = held - mean
    cross = np.einsum("kp,kp->k", held_scores.T @ residual, products)
    gram = (held_scores.T @ held_scores) * (products @ products.T)
    shrinkages = [pca.shrinkage(r) for r in relative]
    return np.array([d @ gram @ d - 2 * d @ cross for d in shrinkages], np.float64)


def _pixels(views: Views, angle: int) -> Array:
    """One angle of all cases as float32 rows (n, pixels)."""
    return unit_of(views[:, angle]).reshape(len(views), -1)
