"""Sharpness over a cohort: expected views of a blur, samples of a real small model."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation.cases import BONE_YAW_DEG, Case
from xray2xray.evaluation.detail import Collector, SharpnessGroup, summarise_detail
from xray2xray.evaluation.metrics import psnr, unit
from xray2xray.evaluation.predictors import CopyInput, MeanView
from xray2xray.evaluation.results import as_json
from xray2xray.evaluation.views import Mirrored, evaluate_cases, view_draws
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC, preset

FRONTAL = STANDARD_ARC.index(0.0)
SIZE, PATIENTS, SAMPLES = 16, 12, 3
GEOMETRY = preset("chest", SIZE)


@pytest.fixture(scope="module")
def cases(ellipsoid_views: Callable[..., np.ndarray]) -> list[Case]:
    rng = np.random.default_rng(0)
    views = ellipsoid_views(range(PATIENTS)) + rng.uniform(0, 0.3, (PATIENTS, 37, SIZE, SIZE)).astype(np.float32)
    bone_mm = np.zeros((len(BONE_YAW_DEG), SIZE, SIZE), np.float32)
    bone_mm[:, 4:12:4] = 80
    return [
        Case(f"case-{i}", VIRTUAL if i < 10 else FROM_CT, one, bone_mm=bone_mm if i < 10 else None)
        for i, one in enumerate(views)
    ]


def measured(
    cases: list[Case], models: dict[str, object], samples: int = 0, seed: int = 0
) -> dict[str, SharpnessGroup]:
    draws, _ = view_draws(models, samples, 0.0, seed) if samples else ({}, None)
    collector = Collector(GEOMETRY, draws)
    mean = MeanView(unit(np.mean([case.views_p for case in cases], axis=0)))
    cohort, _ = evaluate_cases(iter(cases), models, {"mean_view": mean, "copy_input": CopyInput()}, collector=collector)
    return summarise_detail(cohort, collector, samples)


@pytest.fixture(scope="module")
def found(cases: list[Case], sampled_model: WorldModel) -> dict[str, SharpnessGroup]:
    return measured(cases, {"direct": sampled_model, "direct+mirrored": Mirrored(sampled_model)}, SAMPLES)


def test_every_row_is_measured_and_samples_are_apart(found: dict[str, SharpnessGroup]) -> None:
    json.dumps(as_json(found), allow_nan=False)
    assert list(found) == [VIRTUAL, FROM_CT]
    group = found[VIRTUAL]
    assert group.n == 10
    assert set(group.models) == {"direct", "direct+mirrored", "v_ceiling", "v_ceiling_quantised"}
    assert set(group.baselines) == {"mean_view", "copy_input"}
    assert set(group.samples) == {"direct+sample"}
    one = group.models["direct"]
    assert set(one.horizontal_frc_at) == {"5", "15", "60"}
    assert len(one.power_db["16-32"].per_angle) == 36
    assert one.power_db["4-8"].far is None, "a view of 16 pixels has no ring there"
    assert set(one.bone_auroc.per_angle) == {f"{yaw:g}" for yaw in BONE_YAW_DEG}
    assert one.two_sample_auroc.mean > 0.9, "an untrained model's views are no chests"
    assert found[FROM_CT].models["direct"].bone_auroc is None
    assert found[FROM_CT].truth_bone_auroc is None
    assert found[FROM_CT].models["direct"].two_sample_auroc is None, "two patients teach nothing"


def test_a_copy_of_the_frontal_is_as_sharp_as_the_truth_but_elsewhere(found: dict[str, SharpnessGroup]) -> None:
    copied, mean = found[VIRTUAL].baselines["copy_input"], found[VIRTUAL].baselines["mean_view"]
    assert copied.power_db["32-64"].far.mean == pytest.approx(0, abs=1.5)
    assert mean.power_db["32-64"].far.mean < -5
    assert copied.frc["32-64"].far.mean < copied.frc["32-64"].near.mean - 0.1


def test_samples_are_scored_one_by_one(cases: list[Case], sampled_model: WorldModel) -> None:
    few = cases[:2]
    rows = measured(few, {"direct": sampled_model}, SAMPLES, seed=4)[VIRTUAL].samples["direct+sample"]
    draw = view_draws({"direct": sampled_model}, SAMPLES, 0.0, 4)[0]["direct+sample"]
    drawn = np.stack([draw(case.views_p[FRONTAL], number) for number, case in enumerate(few)])
    assert drawn.shape == (2, SAMPLES, 37, SIZE, SIZE)
    far = np.abs(STANDARD_ARC) >= 30
    each = psnr(unit(drawn), unit(np.stack([case.views_p for case in few]))[:, None])[..., far].mean(axis=-1)
    assert rows.samples == SAMPLES
    assert rows.psnr.far.mean == pytest.approx(each.mean())
    assert rows.psnr_best.far.mean == pytest.approx(each.max(axis=1).mean())
    assert rows.psnr_best.far.mean > rows.psnr.far.mean
    error = np.abs(drawn - np.stack([case.views_p for case in few])[:, None])[:, :, far].mean()
    apart = np.abs(drawn[:, :, None] - drawn[:, None])[:, :, :, far].mean() * SAMPLES / (SAMPLES - 1)
    assert rows.crps.far.mean == pytest.approx(error - apart / 2, rel=1e-4)


def test_one_sample_has_no_crps(cases: list[Case], sampled_model: WorldModel) -> None:
    rows = measured(cases[:1], {"direct": sampled_model}, 1)[VIRTUAL].samples["direct+sample"]
    assert rows.crps is None
    assert rows.psnr.far == rows.psnr_best.far


def test_a_form_without_a_trained_sampler_says_so(small_models: dict[str, WorldModel]) -> None:
    draws, cannot = view_draws(small_models, 2, 0.0, 0)
    assert set(draws) == {"autoregressive+sample"}
    assert cannot == {"direct+sample": "this model was not trained to be sampled from"}
