"""The ways along the arc, of real small models that have learned nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from xray2xray.core.evidence import VIRTUAL
from xray2xray.evaluation import metrics
from xray2xray.evaluation.drift import AHEAD_DEG, free_running, measure_drift, routes
from xray2xray.evaluation.metrics import unit
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC

Cohort = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def views_p(ellipsoid_views: Cohort) -> np.ndarray:
    return ellipsoid_views(range(5))


def test_each_step_starts_from_the_last_prediction(small_models: dict[str, WorldModel], views_p: np.ndarray) -> None:
    model = small_models["direct"]
    stepped = free_running(model, views_p[:2, 0], [-90.0, -60.0, -30.0])
    start = model.observe([(views_p[:2, 0], -90.0)])
    first = model.prediction(start, [-60.0])[:, 0]
    second = model.predict(model.observe([(first, -60.0)]), [-30.0])
    np.testing.assert_allclose(stepped[:, 1], second[:, 0], atol=1e-5)
    from_the_input = model.predict(start, (-60.0, -30.0))
    np.testing.assert_allclose(stepped[:, 0], from_the_input[:, 0], atol=1e-5)
    assert not np.allclose(stepped[:, 1], from_the_input[:, 1], atol=1e-3), "the second is predicted from the first"


def test_every_way_of_direct(small_models: dict[str, WorldModel], views_p: np.ndarray) -> None:
    found = routes(small_models["direct"], views_p[:2, 0])
    assert {name: len(yaw) for name, (yaw, _) in found.items()} == {"jump": 36, "steps_of_5": 36, "steps_of_30": 6}
    assert found["steps_of_30"][0] == [-60, -30, 0, 30, 60, 90]
    for yaw_deg, views in found.values():
        assert views.shape == (2, len(yaw_deg), 16, 16)
    first = found["jump"][1][:, 0]
    np.testing.assert_allclose(found["steps_of_5"][1][:, 0], first, atol=1e-5)


def test_the_autoregressive_form_rolls_out(small_models: dict[str, WorldModel], views_p: np.ndarray) -> None:
    model = small_models["autoregressive"]
    (name, (yaw_deg, views)), *others = routes(model, views_p[:2, 0]).items()
    assert (name, tuple(yaw_deg), others) == ("steps_of_5", AHEAD_DEG, [])
    np.testing.assert_allclose(views, unit(model.imagine(views_p[:2, 0], -90.0, AHEAD_DEG)), atol=1e-5)


def test_scores_at_each_angle(small_models: dict[str, WorldModel], views_p: np.ndarray) -> None:
    model, truth = small_models["direct"], unit(views_p)
    names = [str(i) for i in range(len(views_p))]
    drift = measure_drift(model, views_p, names, VIRTUAL, truth.mean(axis=0))
    assert set(drift["routes"]) == {"jump", "steps_of_5", "steps_of_30"}
    assert drift["baselines"]["mean_view"]["r2"]["mean"] == pytest.approx(0)
    copied = drift["baselines"]["copy_input"]["psnr"]["per_angle"]
    assert list(copied) == [f"{yaw:g}" for yaw in AHEAD_DEG]
    assert copied["-45"] == pytest.approx(metrics.psnr(truth[:, 0], truth[:, STANDARD_ARC.index(-45.0)]).mean())
    predicted = unit(model.imagine(views_p[:, 0], -90.0, [60.0]))[:, 0]
    at_60 = metrics.psnr(predicted, truth[:, STANDARD_ARC.index(60.0)]).mean()
    assert drift["routes"]["jump"]["psnr"]["per_angle"]["60"] == pytest.approx(at_60, abs=1e-3)
    assert list(drift["routes"]["steps_of_30"]["psnr"]["per_angle"]) == ["-60", "-30", "0", "30", "60", "90"]
