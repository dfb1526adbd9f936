"""Neighbours on small frontals."""

from collections.abc import Callable

import numpy as np

from xray2xray.evaluation import baselines, metrics, predictors
from xray2xray.projection.geometry import STANDARD_ARC

FRONTAL = STANDARD_ARC.index(0.0)


def test_nearest_case_of_a_training_input_is_itself(ellipsoid_views: Callable[..., np.ndarray]) -> None:
    train = np.rint(ellipsoid_views(range(50)) * 4096).astype(np.uint16)
    knn = baselines.fit_on_store(train, FRONTAL)["knn10"]
    assert isinstance(knn, predictors.NearestCases)
    inputs = metrics.unit(train[:, FRONTAL] / 4096)
    nearest = knn.nearest(inputs)
    assert nearest.shape == (50, 10)
    assert np.mean(nearest[:, 0] == np.arange(50)) > 0.9  # 8 bits leave a tie or two


def test_shrink_is_an_area_mean_for_any_size() -> None:
    image = np.random.default_rng(0).uniform(0, 1, (1, 128, 128)).astype(np.float32)
    expected = image.reshape(1, 32, 4, 32, 4).mean((2, 4)) * 255
    assert np.abs(predictors.shrink(image) - expected).max() <= 0.51
    flat = np.full((2, 50, 70), 0.4, np.float32)
    assert np.all(predictors.shrink(flat) == 102)
