"""The whole evaluation on a small model: what enters which number."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from xray2xray.core.errors import UsageError
from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation.anatomy import ENDPOINTS
from xray2xray.evaluation.cases import Case
from xray2xray.evaluation.uncertainty import (
    FRONTAL,
    REGIONS,
    SCORED_DEG,
    Residuals,
    _chests,
    evaluate_uncertainty,
    measure,
    summarise,
    variance_ratio,
    variances,
)
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC, preset
from xray2xray.statistics.ensembles import crps, energy_score

GEOMETRY, SAMPLES = preset("chest", 16), 6
AT = [STANDARD_ARC.index(yaw) for yaw in SCORED_DEG]


@pytest.fixture(scope="module")
def views_p(ellipsoid_views: Callable[..., np.ndarray]) -> np.ndarray:
    return ellipsoid_views(range(11))


@pytest.fixture(scope="module")
def found(sampled_model: WorldModel, views_p: np.ndarray):
    cases = [
        Case(f"case-{i}", FROM_CT if i == 10 else VIRTUAL, one, 30 * (one > 4), 20 * (one[AT] > 3))
        for i, one in enumerate(views_p)
    ]
    residuals = Residuals(np.full((8, 16, 16), 0.5), dict.fromkeys(ENDPOINTS, 5.0), 7)
    return (*measure(cases, sampled_model, GEOMETRY, residuals, SAMPLES, seed=3, pictures=1), residuals)


def test_samples_of_a_case_are_scored_where_they_should(found, sampled_model: WorldModel, views_p: np.ndarray) -> None:
    groups, _, _ = found
    generator, truth = torch.Generator().manual_seed(3002), views_p[2][AT]
    mean = sampled_model.imagine(views_p[2, FRONTAL], yaw_deg=SCORED_DEG)
    drawn = sampled_model.imagine(views_p[2, FRONTAL], yaw_deg=SCORED_DEG, generator=generator, samples=SAMPLES)
    group = groups[VIRTUAL]
    body = (truth > 1) | (mean > 1)
    scores = [crps(drawn, truth)[a][body[a]].mean() for a in range(len(AT))]
    assert group.marginals["sampler"][2].crps[0] == pytest.approx(scores, rel=1e-4)
    expected = energy_score(drawn.reshape(SAMPLES, -1), truth.ravel())
    assert group.energy["sampler"][2] == pytest.approx(expected, rel=1e-5)
    assert np.array_equal(group.regions[2][0], group.regions[2][1] | group.regions[2][2]), "lung and the rest: the body"
    assert not (group.regions[2][1] & group.regions[2][2]).any()
    assert np.array_equal(group.regions[2][4], body & (truth > 3)), "bone"
    assert np.array_equal(group.regions[2][3], body & (truth <= 3)), "neither lung nor bone"


def test_posterior_over_prior(found, views_p: np.ndarray) -> None:
    group = found[0][VIRTUAL]
    posterior, prior = variances(group)
    assert prior == pytest.approx(views_p[:10][:, AT].var(axis=0, ddof=1), abs=1e-5)
    share = np.mean(group.regions, axis=0)[0]
    expected = (share * posterior).sum(axis=(1, 2)) / (share * prior).sum(axis=(1, 2))
    assert list(variance_ratio(group)[REGIONS[0]].per_angle.values()) == pytest.approx(list(expected), rel=1e-5)


def test_a_mixed_chest_takes_every_view_from_another_sample(sampled_model: WorldModel, views_p: np.ndarray) -> None:
    state = sampled_model.observe([(views_p[0, FRONTAL], 0.0)])
    sets = list(_chests(sampled_model, state, views_p[0], seed=3, number=0))
    assert [name for name, _ in sets] == ["truth", "prediction", "sample", "sample", "mixed"]
    first, second, mixed = (views for _, views in sets[2:])
    assert mixed[0] == pytest.approx(first[0], abs=1e-4)
    assert mixed[1] == pytest.approx(second[1], abs=1e-4)
    assert np.abs(mixed[1] - first[1]).max() > 0.1
    assert mixed[FRONTAL] == pytest.approx(first[FRONTAL], abs=1e-4), "given, so in all of them"


def test_a_group_of_one_patient_has_no_variance_between_patients(found) -> None:
    groups, examples, residuals = found
    assert summarise(groups[FROM_CT], residuals).variance_ratio is None
    many = summarise(groups[VIRTUAL], residuals)
    assert many.variance_ratio == variance_ratio(groups[VIRTUAL])
    assert many.variance_ratio_map.shape == (8, 16, 16)
    assert set(many.pixels) == {"sampler", "gaussian"}
    assert [one.name for one in examples] == ["case-0", "case-10"]


def test_wrong_usage() -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate_uncertainty()
    with pytest.raises(UsageError, match="39"):
        evaluate_uncertainty(procedural=1, samples=20)
