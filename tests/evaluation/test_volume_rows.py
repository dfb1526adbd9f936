"""Volumes from given views, on chests whose answer is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.store import ViewStore
from xray2xray.evaluation.baselines import Baselines
from xray2xray.evaluation.predictors import shrink
from xray2xray.evaluation.volume_rows import (
    Given,
    TrainingCohort,
    back_projection,
    empty_grid,
    from_views,
    mean_depth,
    predicted_volume,
    sampled_volumes,
    training_cohort,
    whole_patient,
)
from xray2xray.evaluation.volumes import volume_scores
from xray2xray.models.transitions.base import State
from xray2xray.models.world_model import WorldModel
from xray2xray.phantoms import patient_volume
from xray2xray.projection.forward import project
from xray2xray.projection.geometry import STANDARD_ARC, Geometry, preset
from xray2xray.projection.render import render
from xray2xray.volume.attenuation import hu_to_mu
from xray2xray.volume.volume import Volume

SIZE, GEOMETRY = 24, preset("chest", 16)
FRONTAL = (0.0,)


def ellipsoid(x: float, y: float, z: float = 130.0) -> Volume:
    """A body of water with the given half axes in mm."""
    grid = empty_grid(SIZE)
    axis = grid.affine[0, 3] + np.arange(SIZE) * grid.affine[0, 0]
    inside = (axis[:, None, None] / x) ** 2 + (axis[:, None] / y) ** 2 + (axis / z) ** 2 < 1
    return Volume(np.where(inside, 0.0, -1000.0), grid.affine)


def views(volume: Volume, yaw_deg: tuple[float, ...], geometry: Geometry = GEOMETRY) -> np.ndarray:
    return project(hu_to_mu(volume.hu), volume.affine, geometry, yaw_deg)


def given(volume: Volume, yaw_deg: tuple[float, ...] = FRONTAL) -> Given:
    return Given(views(volume, yaw_deg), yaw_deg, GEOMETRY)


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


# ---------------------------------------------------------------- from the given views


def test_back_projection_of_a_filled_cube_is_that_cube() -> None:
    """Attenuation that is even along every ray is what back-projection takes for granted."""
    water = Volume(np.zeros((SIZE, SIZE, SIZE)), empty_grid(SIZE).affine)
    for yaw_deg in ((0.0,), (0.0, 90.0)):
        found = back_projection(given(water, yaw_deg), SIZE)
        seen = project(np.ones(water.shape, np.float32), water.affine, GEOMETRY, yaw_deg)
        assert seen.min() > 0
        middle = found.hu[8:16, 8:16, 8:16]
        assert np.abs(middle).max() < 2


def test_mean_depth_keeps_what_was_measured_and_how_the_mean_lies_along_each_ray() -> None:
    mean, patient = ellipsoid(150, 100), ellipsoid(140, 80)
    found = mean_depth(given(patient), mean)
    assert relative(views(found, FRONTAL), views(patient, FRONTAL)) < 0.05
    assert relative(views(mean, FRONTAL), views(patient, FRONTAL)) > 0.2
    before, after = (hu_to_mu(volume.hu)[SIZE // 2, :, SIZE // 2] for volume in (mean, found))
    share = after[before > 0] / before[before > 0]
    assert share.std() / share.mean() < 0.02, "from one view depth is that of the mean"
    assert share.mean() == pytest.approx(0.8, abs=0.05)


def test_mean_depth_answers_with_the_mean_to_the_view_of_the_mean() -> None:
    mean = ellipsoid(150, 100)
    assert np.abs(mean_depth(given(mean), mean).hu - mean.hu).max() < 1


def test_a_second_view_says_how_deep_the_body_is() -> None:
    mean, patient = ellipsoid(150, 100), ellipsoid(140, 80)
    one, two = (volume_scores(mean_depth(given(patient, yaw), mean), patient) for yaw in ((0.0,), (0.0, 90.0)))
    assert two["mae_hu"] < 0.9 * one["mae_hu"]


# ---------------------------------------------------------------- forms of M


class Ball(WorldModel):
    """A form with a volume of its own: a ball of water, whatever is given."""

    def volume(self, state: State, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray | None:
        indices = np.indices(shape).reshape(3, -1)
        mm = affine[:3, :3] @ indices + affine[:3, 3:]
        return (0.0206 * (np.linalg.norm(mm, axis=0) < 100)).reshape(1, *shape)


@pytest.fixture
def direct(small_models: dict[str, WorldModel]) -> WorldModel:
    return small_models["direct"]


@pytest.fixture
def frontal_p(ellipsoid_views: Callable[..., np.ndarray]) -> np.ndarray:
    return ellipsoid_views([0])[0, STANDARD_ARC.index(0.0)]


def test_a_form_without_a_volume_is_reconstructed_from_its_views(direct: WorldModel, frontal_p: np.ndarray) -> None:
    state = direct.observe([(frontal_p, 0.0)])
    found = predicted_volume(direct, state, GEOMETRY, SIZE)
    wanted = from_views(direct.predict(state, STANDARD_ARC)[0], STANDARD_ARC, GEOMETRY, SIZE)
    assert np.array_equal(found.hu, wanted.hu)


def test_a_form_with_a_volume_gives_it_on_the_grid(direct: WorldModel, frontal_p: np.ndarray) -> None:
    ball = Ball(direct.vision, direct.transition)
    found = predicted_volume(ball, ball.observe([(frontal_p, 0.0)]), GEOMETRY, SIZE)
    grid = empty_grid(SIZE)
    assert np.array_equal(found.affine, grid.affine)
    middle = SIZE // 2
    assert found.hu[middle, middle, middle] == pytest.approx(0, abs=0.1)
    assert found.hu[0, middle, middle] == -1000
    litres = (found.hu > -500).mean() * 3.84**3
    assert litres == pytest.approx(4 / 3 * np.pi, rel=0.05)


def test_samples_are_volumes_of_different_chests(sampled_model: WorldModel, frontal_p: np.ndarray) -> None:
    state = sampled_model.observe([(frontal_p, 0.0)])

    def drawn(seed: int) -> list[Volume]:
        return sampled_volumes(sampled_model, state, GEOMETRY, SIZE, 2, torch.Generator().manual_seed(seed))

    one, two = drawn(0)
    assert not np.array_equal(one.hu, two.hu)
    assert np.array_equal(one.hu, drawn(0)[0].hu)


def test_a_form_without_a_sampler_says_so(direct: WorldModel, frontal_p: np.ndarray) -> None:
    with pytest.raises(UsageError):
        sampled_volumes(direct, direct.observe([(frontal_p, 0.0)]), GEOMETRY, SIZE, 2, torch.Generator())


# ---------------------------------------------------------------- the training cohort


@pytest.fixture(scope="module")
def bodies() -> list[Volume]:
    return [ellipsoid(120, 80), ellipsoid(160, 110), ellipsoid(140, 95)]


@pytest.fixture(scope="module")
def store(bodies: list[Volume], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = ViewStore.create(tmp_path_factory.mktemp("store") / "views", GEOMETRY)
    for number, body in enumerate(bodies):
        made.write(f"body-{number}", views(body, STANDARD_ARC), STANDARD_ARC)
    return made.folder


def test_the_nearest_case_of_a_store_is_the_body_that_is_most_alike(store: Path, bodies: list[Volume]) -> None:
    cohort = training_cohort(store)
    assert cohort.geometry == GEOMETRY
    found = cohort.nearest_case(given(ellipsoid(157, 108)), SIZE)
    errors = [np.abs(found.hu - body.hu).mean() for body in bodies]
    assert int(np.argmin(errors)) == 1


def test_the_mean_volume_has_the_views_of_the_mean(store: Path, bodies: list[Volume]) -> None:
    mean = training_cohort(store).mean_volume(SIZE)
    wanted = np.mean([hu_to_mu(body.hu) for body in bodies], axis=0)
    assert relative(hu_to_mu(mean.hu), wanted) < 0.35
    assert relative(views(mean, FRONTAL), np.mean([views(body, FRONTAL) for body in bodies], axis=0)) < 0.05


def test_scans_that_end_early_do_not_make_the_mean_lighter_there() -> None:
    """Of two equal bodies one is scanned to the middle only; the mean is the body itself, not half of it below."""
    body = ellipsoid(150, 100, 1000)
    short = Volume(np.where(np.arange(SIZE) < SIZE // 2, -1000.0, body.hu), body.affine)
    geometry = preset("parallel", 32)
    whole_p, short_p = (views(one, STANDARD_ARC, geometry) for one in (body, short))
    frontal = STANDARD_ARC.index(0.0)
    small = np.concatenate([shrink(np.clip(p[frontal : frontal + 1], 0, 10) / 10) for p in (whole_p, short_p)])
    counts = np.rint(4096 * (whole_p + short_p) / 2).astype(np.uint16)
    baselines = Baselines(geometry, np.array(STANDARD_ARC, np.float32), counts, small, np.arange(2))
    mean = TrainingCohort(baselines, lambda number, size: body, "two").mean_volume(SIZE)
    middle = hu_to_mu(mean.hu)[SIZE // 2, SIZE // 2]
    assert middle[3:9].mean() == pytest.approx(middle[15:21].mean(), rel=0.03)


def test_the_packaged_patients_are_built_again_from_their_seeds() -> None:
    cohort = training_cohort()
    seed = int(cohort.baselines.seeds[0])
    frontal_p = render(patient_volume(seed), cohort.geometry, FRONTAL)
    found = cohort.nearest_case(Given(frontal_p, FRONTAL, cohort.geometry), SIZE)
    assert np.array_equal(found.hu, whole_patient(seed, SIZE).hu)


def test_a_whole_patient_goes_on_where_the_scan_ends() -> None:
    whole = whole_patient(3, SIZE)
    assert whole.shape == (SIZE, SIZE, SIZE)
    assert (whole.hu[:, :, [0, -1]] > -500).any(axis=(0, 1)).all(), "body on the first and the last plane"


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        training_cohort(ViewStore.create(tmp_path / "none", GEOMETRY).folder)
