"""Ridge regression on data whose answer is known."""

from collections.abc import Callable

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.evaluation import metrics, ridge
from xray2xray.projection.geometry import STANDARD_ARC

FRONTAL = STANDARD_ARC.index(0.0)


def counts(views_p: np.ndarray) -> np.ndarray:
    """p -> uint16 of 4096 p, as stored."""
    return np.rint(views_p * 4096).astype(np.uint16)


@pytest.fixture(scope="module")
def train(ellipsoid_views: Callable[..., np.ndarray]) -> np.ndarray:
    return counts(ellipsoid_views(range(300)))


def test_ridge_finds_a_linear_map_and_its_penalty() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.uniform(0, 1, (250, 5))
    to_views = rng.uniform(0, 1, (5, 3 * 12 * 12))
    views = (hidden @ to_views).reshape(250, 3, 12, 12)
    stored = counts(views)
    fitted = ridge.RidgePCA.fit(stored[:200], input_index=1, components=20)
    predicted = fitted.predict(metrics.unit(views[200:, 1]))
    assert metrics.psnr(predicted, metrics.unit(views[200:])).min() > 60
    assert fitted.penalty.max() < 1e-2  # noiseless: hardly any shrinkage is wanted

    noise = rng.uniform(0, 5, stored.shape)
    noise[:, 1] = views[:, 1]
    unlearnable = ridge.RidgePCA.fit(counts(noise[:200]), input_index=1, components=20)
    assert unlearnable.penalty[0] > 0.5  # pure noise: shrink towards the mean


def test_ridge_penalty_errors_equal_the_errors_of_the_predictions(train: np.ndarray) -> None:
    """The expanded form that avoids predictions agrees with predicting and comparing."""
    inputs, target = ridge._pixels(train, FRONTAL), ridge._pixels(train, 3)
    pca = ridge._PCA.fit(inputs[:200], 30)
    scores = pca.scores(inputs[200:])
    relative = np.array([1e-3, 1e-1, 10.0])
    found = ridge._held_out_errors(pca, scores, target[:200], target[200:], relative)
    mean = target[:200].mean(0)
    direct = []
    for r in relative:
        weights = pca.shrinkage(r)[:, None] * (pca.train_scores.T @ (target[:200] - mean))
        direct.append(np.square(scores @ weights + mean - target[200:]).sum())
    constant = np.square(target[200:] - mean).sum()
    assert found + constant == pytest.approx(direct, rel=1e-3)


def test_ridge_wants_enough_patients(train: np.ndarray) -> None:
    with pytest.raises(InputError, match="at least 10"):
        ridge.RidgePCA.fit(train[:5], FRONTAL)
