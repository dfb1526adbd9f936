"""Neighbours on small frontals."""

from collections.abc import Callable

import numpy as np
import pytest

from xray2xray.evaluation import baselines, metrics, predictors
from xray2xray.projection.frustum import Frustum
from xray2xray.projection.geometry import STANDARD_ARC, preset
from xray2xray.projection.lifted import Lifted, extended

FRONTAL = STANDARD_ARC.index(0.0)


def test_nearest_case_of_a_training_input_is_itself(ellipsoid_views: Callable[..., np.ndarray]) -> None:
    train = np.rint(ellipsoid_views(range(50)) * 4096).astype(np.uint16)
    knn = baselines.fit_on_store(train, FRONTAL)["knn10"]
    assert isinstance(knn, predictors.NearestCases)
    inputs = metrics.unit(train[:, FRONTAL] / 4096)
    nearest = knn.nearest(inputs)
    assert nearest.shape == (50, 10)
    assert np.mean(nearest[:, 0] == np.arange(50)) > 0.9  # 8 bits leave a tie or two


def test_mean_depth_is_the_truth_of_a_patient_whose_depth_is_the_mean() -> None:
    frustum = Frustum(preset("chest", 32), depth=12)
    depth, rows, columns = frustum.at(16).shape
    k, i, j = np.indices((depth, rows, columns))
    portions = np.exp(-((k / 5.5 - 1) ** 2) - ((2 * i / rows - 1) / 0.6) ** 2 - ((2 * j / columns - 1) / 0.5) ** 2)
    portions = portions.astype(np.float32)
    total = portions.sum(axis=0)
    view_p = 4 * np.kron(total, np.ones((2, 2), np.float32))[frustum.detector] / total.max()
    state = Lifted(frustum, extended(view_p, frustum, total), portions / total)
    baseline = predictors.MeanDepth(7 * portions / total.max(), frustum)  # how much there is comes from the view
    predicted = baseline.predict(metrics.unit(view_p[None]))
    assert predicted.shape == (1, 37, 32, 32)
    assert predicted[0, FRONTAL] == pytest.approx(metrics.unit(view_p), abs=1e-5)
    near = [STANDARD_ARC.index(yaw) for yaw in (-20.0, 10.0, 30.0)]  # further off, rays beyond the detector count
    inside = slice(8, 24)
    expected = metrics.unit(state.views(STANDARD_ARC))
    assert predicted[0, near, inside, inside] == pytest.approx(expected[near, inside, inside], abs=0.02)


def test_shrink_is_an_area_mean_for_any_size() -> None:
    image = np.random.default_rng(0).uniform(0, 1, (1, 128, 128)).astype(np.float32)
    expected = image.reshape(1, 32, 4, 32, 4).mean((2, 4)) * 255
    assert np.abs(predictors.shrink(image) - expected).max() <= 0.51
    flat = np.full((2, 50, 70), 0.4, np.float32)
    assert np.all(predictors.shrink(flat) == 102)
