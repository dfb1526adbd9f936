"""Retrieval: an oracle finds every patient, one answer for all finds none, random vectors find by chance."""

from collections.abc import Callable

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.core.evidence import VIRTUAL
from xray2xray.evaluation.cases import Case
from xray2xray.evaluation.metrics import unit
from xray2xray.evaluation.retrieval import (
    RENDERED_YAW_DEG,
    RETRIEVAL_YAW_DEG,
    Hits,
    Retrieval,
    embed_candidates,
    ranks,
    summarise_retrieval,
)
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC

Cohort = Callable[..., np.ndarray]
N = 12


@pytest.fixture(scope="module")
def truths() -> np.ndarray:
    return np.random.default_rng(0).normal(3, 1, (50, 40)).astype(np.float32)


def test_an_oracle_finds_everyone_however_short_its_vectors(truths: np.ndarray) -> None:
    assert ranks(truths, truths).tolist() == [1] * 50
    assert ranks(0.1 * truths + 7, truths).tolist() == [1] * 50


def test_one_answer_for_all_finds_none(truths: np.ndarray) -> None:
    same = np.repeat(truths.mean(axis=0, keepdims=True), 50, axis=0)
    assert ranks(same, truths).tolist() == [50] * 50


def test_guessing_is_chance(truths: np.ndarray) -> None:
    random = np.random.default_rng(1)
    guesses = [ranks(random.normal(size=truths.shape), truths) for _ in range(40)]
    assert np.mean(guesses) == pytest.approx(25.5, abs=1)
    assert np.mean(np.array(guesses) == 1) == pytest.approx(0.02, abs=0.01)


def test_mistaken_neighbours_are_counted(truths: np.ndarray) -> None:
    swapped = truths.copy()
    swapped[[0, 1]] = truths[[1, 0]]
    found = ranks(swapped, truths)
    assert np.all(found[:2] > 1)
    assert np.all(found[2:] == 1)


class Oracle:
    """Knows every patient of a cohort by the frontal: unit views (n, 37, h, w)."""

    def __init__(self, views: np.ndarray) -> None:
        self.views = views

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        frontals = self.views[:, STANDARD_ARC.index(0.0)]
        distance = np.square(inputs[:, None] - frontals[None]).sum(axis=(2, 3))
        return self.views[distance.argmin(axis=1)]


@pytest.fixture(scope="module")
def found(small_models: dict[str, WorldModel], ellipsoid_views: Cohort) -> Retrieval:
    views = ellipsoid_views(range(N))
    at = [STANDARD_ARC.index(yaw) for yaw in RENDERED_YAW_DEG]
    cases = [Case(str(i), VIRTUAL, one[at]) for i, one in enumerate(views)]
    embedded = embed_candidates(iter(cases), small_models, {"oracle": Oracle(unit(views))})
    assert embedded["latents"]["truth"].shape == (N, 6, 4 * 8)
    assert embedded["latents"]["autoregressive"].shape == (N, 6, 4 * 8)
    assert embedded["pixels"]["direct"].shape == (N, 6, 16 * 16)
    expected = small_models["direct"].imagine(views[0, STANDARD_ARC.index(0.0)], 0.0, RETRIEVAL_YAW_DEG)
    np.testing.assert_allclose(embedded["pixels"]["direct"][0], unit(expected).reshape(6, -1), atol=1e-5)
    return summarise_retrieval(embedded)


def test_the_oracle_is_right_at_every_angle(found: Retrieval) -> None:
    assert set(found.pixels) == {"copy_input", "direct", "autoregressive", "oracle"}
    assert set(found.latents) == {"copy_input", "direct", "autoregressive"}
    oracle = found.pixels["oracle"]
    assert (oracle.top1, oracle.top5, oracle.median_rank) == (1, 1, 1)
    assert oracle.top1_ci95 == (1, 1)
    assert [at.top1 for at in oracle.per_angle.values()] == [1] * 6
    assert list(oracle.per_angle) == ["-90", "-60", "-30", "30", "60", "90"]


def test_chance_and_means(found: Retrieval) -> None:
    assert found.candidates == N
    assert found.chance == Hits(1 / N, 5 / N, 6.5)
    untrained = found.latents["direct"]
    assert untrained.top1 < 1, "it has learned nothing"
    assert untrained.top1 == pytest.approx(np.mean([at.top1 for at in untrained.per_angle.values()]))


@pytest.mark.parametrize("count", [0, 1])
def test_one_candidate_cannot_be_mistaken(
    small_models: dict[str, WorldModel], ellipsoid_views: Cohort, count: int
) -> None:
    cases = [Case("only", VIRTUAL, ellipsoid_views([0])[0, :7])] * count
    with pytest.raises(InputError, match="at least two"):
        embed_candidates(cases, small_models, {})


def test_row_sums_do_not_turn_in_a_parallel_beam(found: Retrieval) -> None:
    assert set(found.row_sums) == {"copy_input"}
    assert found.row_sums["copy_input"].top1 > 0.9, "these ellipsoids have 16 coarse pixels, so not quite 1"
