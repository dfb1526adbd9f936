"""Controls of one group of cases."""

from collections.abc import Callable

import numpy as np
import pytest

from xray2xray.core.errors import UsageError
from xray2xray.core.evidence import FROM_CT, VIRTUAL
from xray2xray.evaluation import metrics
from xray2xray.evaluation.actions import CONTROLS
from xray2xray.evaluation.cases import Case
from xray2xray.evaluation.controls import ControlGroup, evaluate_controls, measure
from xray2xray.evaluation.metrics import unit
from xray2xray.evaluation.results import Estimate
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC

Cohort = Callable[..., np.ndarray]
FAR = [i for i, yaw in enumerate(STANDARD_ARC) if abs(yaw) >= 30]


@pytest.fixture(scope="module")
def views_p(ellipsoid_views: Cohort) -> np.ndarray:
    return ellipsoid_views(range(5))


@pytest.fixture(scope="module")
def groups(small_models: dict[str, WorldModel], views_p: np.ndarray) -> dict[str, ControlGroup]:
    mean_views = unit(views_p).mean(axis=0)
    cases = [Case(f"case-{i}", VIRTUAL if i < 4 else FROM_CT, one) for i, one in enumerate(views_p)]
    return {
        VIRTUAL: measure(cases[:4], small_models, mean_views),
        FROM_CT: measure(cases[4:], {"direct": small_models["direct"]}, mean_views),
    }


def test_costs_are_paired_differences_far_from_the_input(
    small_models: dict[str, WorldModel], views_p: np.ndarray, groups: dict[str, ControlGroup]
) -> None:
    found = groups[VIRTUAL].models["direct"].controls
    assert list(found) == list(CONTROLS)
    assert found["as_it_is"].cost == Estimate(0, (0, 0))
    frontals = views_p[:4, STANDARD_ARC.index(0.0)]
    own, truth = unit(small_models["direct"].imagine(frontals)), unit(views_p[:4])
    loss = (metrics.psnr(own, truth) - metrics.psnr(own[:, ::-1], truth))[:, FAR]
    assert found["wrong_sign"].cost.mean == pytest.approx(loss.mean(), abs=1e-3)
    for name, block in found.items():
        lost = found["as_it_is"].psnr.mean_beyond_30 - block.psnr.mean_beyond_30
        assert block.cost.mean == pytest.approx(lost), name
        assert block.cost.ci95[0] <= block.cost.mean <= block.cost.ci95[1]


def test_a_single_case_has_no_other_patient_and_no_interval(groups: dict[str, ControlGroup]) -> None:
    found = groups[FROM_CT].models["direct"].controls
    assert set(found) == set(CONTROLS) - {"other_patient"}
    assert found["wrong_sign"].cost.ci95 is None


def test_wrong_usage() -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate_controls()
