"""Every registered form of M, and a toy form that is one file and one line, through all that a form must do."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.small_training import SIZE, blob_views
from xray2xray.core.errors import InputError, UsageError
from xray2xray.models.transitions.base import LatentViews, Observation
from xray2xray.models.transitions.registry import PARTS, Part, forms, sampler_of
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC, Pose
from xray2xray.training import loop
from xray2xray.training import train as train_module
from xray2xray.training.presets import Preset, objective_of
from xray2xray.training.settings import Size
from xray2xray.training.train import train

from .mean_view import MeanConfig, MeanTransition

FRONTAL, LATERAL = (STANDARD_ARC.index(yaw) for yaw in (0.0, 90.0))
ANGLES = [-90.0, -45.0, 0.0, 30.0]


@pytest.fixture(scope="module", autouse=True)
def toy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            PARTS, "mean", Part(MeanConfig, MeanTransition, "tests.models.transitions.mean_view.MeanObjective")
        )
        yield


@pytest.fixture(scope="module", params=[*forms(), "mean"])
def form(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def stages(form, recipe) -> Preset:
    """A short training of V and of this form, with its sampler."""
    size, chosen = Size("test", recipe.vision, dim=32, heads=4, layers=2, steps=None), dict(recipe.stages)
    for name in filter(None, (form, sampler_of(form))):
        settings = objective_of(name).settings(size)
        short = replace(settings.loop, steps=12, batch=4, warm_up=2, log_every=4, check_every=6)
        chosen.setdefault(name, replace(settings, loop=short))
    return replace(recipe, stages=chosen)


def trained_with(form: str, stages: Preset, trained: Path, store: Path, out: Path, **options) -> Path:
    """A run's folder: V of `trained`, and this form with its sampler trained on it."""
    shutil.copytree(trained / "model", out / "model", dirs_exist_ok=True)
    for name in filter(None, (form, sampler_of(form))):
        train(store, out, name, recipe=stages, precision="32-true", **options)
    return out


@pytest.fixture(scope="module")
def run(form, stages, trained, store, tmp_path_factory) -> Path:
    return trained_with(form, stages, trained, store, tmp_path_factory.mktemp(form))


@pytest.fixture(scope="module")
def model(form, run) -> WorldModel:
    return WorldModel.from_pretrained(run / "model", form)


@pytest.fixture(scope="module")
def views_p() -> np.ndarray:
    """(2, 37, SIZE, SIZE) of two patients who were not in the training."""
    return np.stack([blob_views(100), blob_views(101)])


def test_one_view_is_observed_and_any_are_predicted(model, views_p, form):
    frontal_p = views_p[:, FRONTAL]
    state = model.observe([(frontal_p, 0.0)])
    predicted = model.predict(state, ANGLES)
    assert model.config.form == form
    assert predicted.shape == (2, 4, SIZE, SIZE)
    assert np.isfinite(predicted).all()
    assert predicted.min() >= 0
    np.testing.assert_allclose(predicted[:, 2], model.reconstruct_views(frontal_p), atol=1e-4)
    np.testing.assert_allclose(predicted[:, :2], model.predict(state, ANGLES[:2]), atol=1e-4)
    np.testing.assert_allclose(predicted, model.imagine(frontal_p, yaw_deg=ANGLES), atol=1e-4)
    np.testing.assert_allclose(predicted[1], model.imagine(frontal_p[1], yaw_deg=ANGLES), atol=1e-3)
    from_the_side = model.predict(model.observe([(views_p[:, LATERAL], 90.0)]), [90.0, 45.0])
    np.testing.assert_allclose(from_the_side[:, 0], model.reconstruct_views(views_p[:, LATERAL]), atol=1e-4)


def test_the_whole_arc_and_the_mirror_image(model, views_p):
    frontal_p = views_p[0, FRONTAL]
    assert model.imagine(frontal_p).shape == (37, SIZE, SIZE)
    mirrored = model.imagine(frontal_p[:, ::-1], yaw_deg=[45.0], mirrored=True)
    np.testing.assert_allclose(mirrored[..., ::-1], model.imagine(frontal_p, yaw_deg=[-45.0], mirrored=True), atol=1e-4)


def test_a_prediction_is_observed_like_a_view(model, views_p):
    predicted = model.prediction(model.observe([(views_p[:, FRONTAL], 0.0)]), [5.0])[:, 0]
    further = model.observe([(predicted, 5.0)])
    assert model.predict(further, [5.0, 10.0]).shape == (2, 2, SIZE, SIZE)
    latents, tokens = predicted.latents(model.vision), predicted.tokens(model.vision)
    assert latents.shape == (2, 16, 8)
    assert tokens.shape == (2, 16)


def test_several_views_are_used_or_refused(model, views_p):
    given = [(views_p[:, FRONTAL], 0.0), (views_p[:, LATERAL], 90.0)]
    try:
        state = model.observe(given)
    except UsageError as refused:
        assert model.config.form in str(refused)  # noqa: PT017
        return
    predicted = model.predict(state, [0.0, 90.0])
    for place, (view_p, _) in enumerate(given):
        np.testing.assert_allclose(predicted[:, place], model.reconstruct_views(view_p), atol=1e-4)


def test_samples_are_seeded_or_refused(model, views_p):
    state = model.observe([(views_p[:, FRONTAL], 0.0)])

    def drawn(seed: int, samples: int | None = 3) -> np.ndarray:
        return model.sample(state, ANGLES, torch.Generator().manual_seed(seed), samples)

    try:
        first = drawn(0)
    except UsageError as refused:
        assert "sampler" in str(refused)  # noqa: PT017
        return
    assert first.shape == (3, 2, 4, SIZE, SIZE)
    np.testing.assert_array_equal(first, drawn(0))
    assert not np.allclose(first, drawn(1))
    assert not np.allclose(first[0, :, 0], first[1, :, 0])
    np.testing.assert_allclose(first[:, :, 2], np.broadcast_to(model.predict(state, [0.0])[:, 0], (3, 2, SIZE, SIZE)))
    assert drawn(0, None).shape == (2, 4, SIZE, SIZE)
    with pytest.raises(UsageError, match="at least 1"):
        drawn(0, 0)


def test_features_are_vectors_of_tokens(model, views_p):
    frontal_p = views_p[:, FRONTAL]
    state = model.observe([(frontal_p, 0.0)])
    for kind in ("vision", "hidden", "volumetric"):
        found = model.features(frontal_p, kind)
        assert found.shape[0] == 2
        assert found.shape[1] % model.width(kind) == 0 or kind == "volumetric"
        assert np.isfinite(found).all()
        np.testing.assert_allclose(model.features(None, kind, state=state), found, atol=1e-5)
    both_sides = model.features(state=state, kind="hidden", yaw_deg=[-90.0, 90.0], pool=1)
    assert both_sides.shape in [(2, views * model.width("hidden")) for views in (1, 2)]  # of a state there are no two
    assert model.features(state=state, kind="hidden", depth=0).shape[0] == 2
    with pytest.raises(UsageError, match="no depth"):
        model.features(state=state, kind="hidden", depth=99)


def test_features_pass_gradients_on_where_the_form_says_so(model, views_p):
    latents = model.encode(views_p[:, FRONTAL])[0].requires_grad_(True)
    given = Observation(LatentViews(latents), Pose(0.0), model.vision)
    features = model.transition.features(model.transition.observe([given]), [Pose(90.0)])
    assert features.shape[-1] == model.transition.width
    if model.transition.differentiable:
        features.sum().backward()
        assert latents.grad.abs().max() > 0


@pytest.mark.parametrize("pose", [Pose(10.0, pitch_deg=5.0), Pose(10.0, translation_mm=(5.0, 0.0, 0.0))])
def test_any_pose_is_predicted_or_refused(model, views_p, pose):
    state = model.observe([(views_p[:, FRONTAL], 0.0)])
    try:
        assert model.predict(state, [pose]).shape == (2, 1, SIZE, SIZE)
    except (InputError, UsageError) as refused:
        assert "upright" in str(refused)  # noqa: PT017


def test_saving_and_loading_changes_nothing(model, views_p, tmp_path, form):
    model.save_pretrained(tmp_path / "again")
    again = WorldModel.from_pretrained(tmp_path / "again", form)
    assert again.config == model.config
    assert (again.sampler is None) == (model.sampler is None)
    frontal_p = views_p[:, FRONTAL]
    np.testing.assert_array_equal(model.imagine(frontal_p, yaw_deg=ANGLES), again.imagine(frontal_p, yaw_deg=ANGLES))


def test_resuming_is_exact(form, stages, run, trained, store, tmp_path, monkeypatch):
    """Interrupted at step 6 of 12 and resumed, every number is that of the uninterrupted training."""
    fit = loop.fit
    monkeypatch.setattr(train_module, "fit", lambda *given, **options: fit(*given, **options, stop_at=6))
    train_form = {"form": form, "stages": stages, "trained": trained, "store": store, "out": tmp_path}
    trained_with(**train_form)
    assert loop.load_checkpoint(tmp_path / form / loop.CHECKPOINT)["step"] == 6
    monkeypatch.undo()
    trained_with(**train_form, resume=True)
    whole, resumed = (torch.load(out / form / loop.CHECKPOINT, weights_only=True) for out in (run, tmp_path))
    assert whole["step"] == resumed["step"] == 12
    assert whole["objective"].keys() == resumed["objective"].keys()
    for name, tensor in whole["objective"].items():
        assert torch.equal(tensor, resumed["objective"][name]), name
