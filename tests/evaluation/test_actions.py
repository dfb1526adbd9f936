"""Controls on predictions whose costs are known: of an oracle, and of models that ignore an input."""

from collections.abc import Callable

import numpy as np
import pytest

from xray2xray.evaluation.actions import AS_IT_IS, CONTROLS, TARGETS, controls, score_controls
from xray2xray.evaluation.metrics import PSNR_CAP_DB, unit
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC

Cohort = Callable[..., np.ndarray]
FRONTAL = STANDARD_ARC.index(0.0)


@pytest.fixture(scope="module")
def truth(ellipsoid_views: Cohort) -> np.ndarray:
    return unit(ellipsoid_views(range(6)))


def costs(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    scores = score_controls(predicted, truth)
    return {name: float((scores[AS_IT_IS].psnr - one.psnr)[:, TARGETS].mean()) for name, one in scores.items()}


def test_an_oracle_pays_for_everything_but_the_sign_of_a_symmetric_body(truth: np.ndarray) -> None:
    scores = score_controls(truth, truth)
    assert list(scores) == list(CONTROLS)
    assert np.all(scores[AS_IT_IS].psnr == PSNR_CAP_DB)
    cost = costs(truth, truth)
    assert cost["wrong_sign"] == pytest.approx(0, abs=1e-6)
    assert all(cost[name] > 20 for name in ("removed", "shuffled", "other_patient"))


def test_the_wrong_sign_costs_where_left_and_right_differ(truth: np.ndarray) -> None:
    lopsided = truth * np.where(np.array(STANDARD_ARC) > 0, 1.0, 0.8)[:, None, None].astype(np.float32)
    assert costs(lopsided, lopsided)["wrong_sign"] > 20


def test_a_model_that_ignores_the_action_loses_nothing_without_it(truth: np.ndarray) -> None:
    stays = np.repeat(truth[:, FRONTAL][:, None], len(STANDARD_ARC), axis=1)
    cost = costs(stays, truth)
    assert [cost[name] for name in ("removed", "shuffled", "wrong_sign")] == pytest.approx([0, 0, 0], abs=1e-4)
    assert cost["other_patient"] > 1


def test_a_model_that_ignores_the_patient_loses_nothing_with_another(truth: np.ndarray) -> None:
    mean = np.broadcast_to(truth.mean(axis=0), truth.shape)
    cost = costs(mean, truth)
    assert cost["other_patient"] == 0
    assert cost["shuffled"] > 0


def test_other_patients_are_the_next_ones(truth: np.ndarray) -> None:
    scores = score_controls(np.roll(truth, 1, axis=0), truth)  # each shown as the one before: the next is right
    assert np.all(scores["other_patient"].psnr == PSNR_CAP_DB)
    assert np.all(scores[AS_IT_IS].psnr[:, TARGETS].mean(axis=1) < PSNR_CAP_DB)
    assert "other_patient" not in score_controls(truth[:1], truth[:1])


def test_shuffling_deals_every_target_once_by_the_seed(truth: np.ndarray) -> None:
    numbered = np.arange(37, dtype=np.float32)[:, None, None] * np.ones((16, 16), np.float32)
    first, again, other = (controls(numbered, numbered, np.random.default_rng(s))["shuffled"] for s in (0, 0, 1))
    assert first[FRONTAL, 0, 0] == FRONTAL
    assert sorted(first[:, 0, 0]) == list(range(37))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, numbered)


@pytest.mark.parametrize("form", ["direct", "autoregressive"])
def test_a_rearranged_prediction_is_that_for_the_other_angle(
    small_models: dict[str, WorldModel], ellipsoid_views: Cohort, form: str
) -> None:
    model, frontal = small_models[form], ellipsoid_views([0])[0, FRONTAL]
    own = model.imagine(frontal)
    assert not np.allclose(own, own[::-1], atol=1e-3), "this model depends on the sign"
    made = controls(own, own, np.random.default_rng(0))
    opposite = [-yaw for yaw in STANDARD_ARC]
    np.testing.assert_allclose(made["wrong_sign"], model.imagine(frontal, 0.0, opposite), atol=1e-4)
