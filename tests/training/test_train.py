"""Real training, a few steps of every stage: what it writes, and that a resumed run is the uninterrupted one."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from xray2xray.errors import InputError, UsageError
from xray2xray.pretrained import PARTS
from xray2xray.training import loop
from xray2xray.training import train as train_module
from xray2xray.training.train import train
from xray2xray.world_model import WorldModel

FLOAT32 = "32-true"


def test_every_stage_writes_what_it_promises(trained, recipe):
    for stage in PARTS:
        lines = [json.loads(line) for line in (trained / stage / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if "s_per_step" in line] == [4, 8, 12]
        validated = [line for line in lines if any(name.startswith("validation_") for name in line)]
        assert [line["step"] for line in validated] == [6, 12]
        assert np.asarray(Image.open(trained / stage / "pictures" / "0000012.png")).ndim == 2
    written = [json.loads(line) for line in (trained / "vision" / "metrics.jsonl").read_text().splitlines()]
    assert any("perplexity" in line for line in written)
    assert any("critic_loss" in line for line in written)
    assert yaml.safe_load((trained / "recipe.yaml").read_text())["vision"]["widths"] == list(recipe.vision.widths)


@pytest.mark.parametrize("form", ["direct", "autoregressive"])
def test_the_result_is_a_pretrained_folder(trained, form):
    model = WorldModel.from_pretrained(trained / "model", form=form)
    views = model.imagine(np.ones((32, 32), np.float32))
    assert views.shape == (37, 32, 32)
    assert np.isfinite(views).all()
    assert model.config.notes["preset"] == "test"


@pytest.mark.parametrize("stage", PARTS)
def test_resuming_is_exact(trained, store, recipe, stage, tmp_path, monkeypatch):
    """Interrupt each stage after its checkpoint at step 6, resume, and compare every number of the state."""
    if stage != "vision":
        shutil.copytree(trained / "model", tmp_path / "model")

    def interrupted(*arguments, **options):
        fit(*arguments, **options, stop_at=6)

    fit = loop.fit
    monkeypatch.setattr(train_module, "fit", interrupted)
    train(store, tmp_path, stage, recipe=recipe, precision=FLOAT32)
    monkeypatch.undo()
    if stage != "vision":  # an interrupted V wrote another one; M's stages need the same
        shutil.copytree(trained / "model", tmp_path / "model", dirs_exist_ok=True)
    train(store, tmp_path, stage, recipe=recipe, precision=FLOAT32, resume=True)

    whole = torch.load(trained / stage / loop.CHECKPOINT, weights_only=True)
    resumed = torch.load(tmp_path / stage / loop.CHECKPOINT, weights_only=True)
    assert whole["step"] == resumed["step"] == 12
    assert whole["objective"].keys() == resumed["objective"].keys()
    for name, tensor in whole["objective"].items():
        assert torch.equal(tensor, resumed["objective"][name]), name


def test_a_trained_folder_is_not_trained_over(trained, store, recipe):
    with pytest.raises(UsageError, match="--resume"):
        train(store, trained, "vision", recipe=recipe)


def test_a_truncated_checkpoint_is_one_clear_line(trained, store, recipe, tmp_path):
    shutil.copytree(trained / "vision", tmp_path / "vision")
    checkpoint = tmp_path / "vision" / loop.CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:-2000])
    with pytest.raises(InputError, match="truncated") as raised:
        train(store, tmp_path, "vision", recipe=recipe, resume=True)
    assert "\n" not in str(raised.value)


def test_resuming_another_recipe_is_refused(trained, store, recipe, tmp_path):
    shutil.copytree(trained / "vision", tmp_path / "vision")
    longer = replace(recipe, vision_loop=replace(recipe.vision_loop, steps=20))
    with pytest.raises(InputError, match="another recipe"):
        train(store, tmp_path, "vision", recipe=longer, resume=True)


def test_a_transition_needs_a_vision_model(store, recipe, tmp_path):
    with pytest.raises(InputError, match="no trained V"):
        train(store, tmp_path, "direct", recipe=recipe)


def test_a_store_of_another_size_is_refused(store, tmp_path):
    with pytest.raises(InputError, match="32 px"):
        train(store, tmp_path, "vision", preset_name="tiny")


def test_unknown_stages_and_presets_are_wrong_usage(store, tmp_path):
    with pytest.raises(UsageError, match="stage"):
        train(store, tmp_path, "everything")
    with pytest.raises(UsageError, match="preset"):
        train(store, tmp_path, preset_name="huge")


def test_a_training_starts_from_another_and_a_start_is_no_resume(trained, store, recipe, tmp_path):
    """The first figures are those of the weights that were given, not of new ones; V comes along."""
    one_step = replace(recipe, direct_loop=replace(recipe.direct_loop, steps=1, rate=0.0, warm_up=1))
    train(store, tmp_path, "direct", recipe=one_step, precision=FLOAT32, start=trained / "model")
    before, after = (WorldModel.from_pretrained(folder / "model") for folder in (trained, tmp_path))
    view = np.ones((32, 32), np.float32)
    np.testing.assert_allclose(before.imagine(view), after.imagine(view), atol=1e-5)
    assert after.config.notes["start"] == str(trained / "model")
    with pytest.raises(InputError, match="of this preset's size"):
        train(store, tmp_path / "other", "direct", recipe=recipe, start="tiny")
