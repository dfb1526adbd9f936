"""Real training, a few steps of every stage: what it writes, and that a resumed run is the uninterrupted one."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.store import ViewStore
from xray2xray.io.model_folder import folder_of, read_config, read_part
from xray2xray.models.transitions import DirectTransition
from xray2xray.models.transitions.registry import PARTS
from xray2xray.models.vision import VisionModel
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import mirror_arc
from xray2xray.training import loop
from xray2xray.training import train as train_module
from xray2xray.training.cache import encode_all
from xray2xray.training.objective import step_generator
from xray2xray.training.objectives.autoregressive import AutoregressiveTraining
from xray2xray.training.objectives.direct import DirectObjective
from xray2xray.training.objectives.vision import stored_to_network
from xray2xray.training.presets import preset, read_recipe
from xray2xray.training.train import train

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
    longer = recipe.changed(vision_loop={"steps": 20})
    with pytest.raises(InputError, match="another recipe"):
        train(store, tmp_path, "vision", recipe=longer, resume=True)


def test_a_transition_needs_a_vision_model(store, recipe, tmp_path):
    with pytest.raises(InputError, match="no trained vision"):
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
    one_step = recipe.changed(direct_loop={"steps": 1, "rate": 0.0, "warm_up": 1})
    train(store, tmp_path, "direct", recipe=one_step, precision=FLOAT32, start=trained / "model")
    before, after = (WorldModel.from_pretrained(folder / "model", "direct") for folder in (trained, tmp_path))
    view = np.ones((32, 32), np.float32)
    np.testing.assert_allclose(before.imagine(view), after.imagine(view), atol=1e-5)
    assert after.config.notes["start"] == str(trained / "model")
    with pytest.raises(InputError, match="of this preset's size"):
        train(store, tmp_path / "other", "direct", recipe=recipe, start="tiny")


def test_a_part_that_the_start_holds_otherwise_begins_anew_and_v_comes_along(trained, store, recipe, tmp_path, caplog):
    other = recipe.changed(autoregressive={"context_views": 1})
    train(store, tmp_path, "autoregressive", recipe=other, precision=FLOAT32, start=trained / "model")
    assert f"that of {trained / 'model'} differs in context_views" in caplog.text
    assert (
        WorldModel.from_pretrained(tmp_path / "model", "autoregressive").config.transition
        == other.stages["autoregressive"].network
    )


def test_every_stage_of_the_packaged_model_can_go_on():
    for part in PARTS:
        ours = json.loads(json.dumps(asdict(preset("tiny").stages[part].network)))
        assert read_config(folder_of("tiny"))[part] == ours


def test_a_refused_resume_leaves_the_recipe_as_it_was(trained, store, recipe, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    before = (tmp_path / "run" / "recipe.yaml").read_text(), (tmp_path / "run" / "direct" / "recipe.yaml").read_text()
    other = recipe.changed(direct_training={"targets": 2})
    with pytest.raises(InputError, match="another recipe"):
        train(store, tmp_path / "run", "direct", recipe=other, resume=True)
    after = (tmp_path / "run" / "recipe.yaml").read_text(), (tmp_path / "run" / "direct" / "recipe.yaml").read_text()
    assert before == after


def test_v_goes_on_from_another_with_the_words_it_had(trained, store, recipe, tmp_path):
    """No running averages are kept with a model: were they taken for those of its entries, the first step would
    scatter the codebook."""
    gently = recipe.changed(
        vision_loop={"steps": 2, "rate": 0.0}, vision_training={"quantise_from": 0.0, "revive_until": 0.0}
    )
    train(store, tmp_path, "vision", recipe=gently, precision=FLOAT32, start=trained / "model")
    before, after = (VisionModel(recipe.vision) for _ in range(2))
    for folder, vision in ((trained, before), (tmp_path, after)):
        read_part(folder / "model", "vision", vision)
    cosines = torch.cosine_similarity(before.codebook.entries, after.codebook.entries)
    assert float(cosines.median()) > 0.9


def test_mirrored_patients_are_shown_as_they_would_be_rendered(trained, store, recipe):
    """Latents and pixels of a batch are, patient by patient, those of the views or those of the mirrored views."""
    views = ViewStore.open(store).read_standard()
    exchanged = np.ascontiguousarray(mirror_arc(views))
    vision = VisionModel(recipe.vision)
    read_part(trained / "model", "vision", vision)
    latents, other = (encode_all(vision, some)[0] for some in (views, exchanged))
    training = replace(recipe.stages["direct"].training, mirrored=True)
    objective = DirectObjective(
        DirectTransition(recipe.stages["direct"].network),
        vision,
        latents,
        views,
        torch.ones(len(views)),
        training,
        other,
    )
    batch = objective.draw(64, 1.0, step_generator(0, 0))
    known, mirrored = (torch.from_numpy(some.reshape(-1, 16, 8)).float() for some in (latents, other))
    pixels, flipped = (stored_to_network(some.reshape(-1, 32, 32)) for some in (views, exchanged))
    sides = []
    for given, wanted in zip(batch["given"], batch["wanted"], strict=True):
        seen = torch.cat([given[None], wanted])
        sides += [[all(_among(one, some) for one in seen) for some in (known, mirrored)]]
    assert all(a or b for a, b in sides)
    assert 16 < sum(b for _, b in sides) < 48
    for place, x in zip(batch["chosen"], batch["x"], strict=True):
        wanted = batch["wanted"].flatten(0, 1)[place]
        rendered = flipped if sides[place // training.targets][1] else pixels
        assert torch.equal(x[0], rendered[((known if rendered is pixels else mirrored) == wanted).all(dim=(1, 2))][0])


def _among(one: torch.Tensor, many: torch.Tensor) -> bool:
    return bool((one == many).all(dim=(1, 2)).any())


def test_training_with_mirrored_patients_goes_through(trained, store, recipe, tmp_path):
    shutil.copytree(trained / "model", tmp_path / "model")
    chosen = recipe.changed(direct_training={"mirrored": True})
    train(store, tmp_path, "direct", recipe=chosen, precision=FLOAT32)
    assert np.load(tmp_path / "latents" / "mirrored" / "latents.npy").shape == (8, 37, 16, 8)


@pytest.mark.parametrize("actions", ["direction", "jump"])
def test_both_kinds_of_actions_are_learned(trained, store, recipe, tmp_path, actions):
    """With the context as it comes in a roll-out: the model's own predictions, where there is one."""
    gpt = replace(recipe.stages["autoregressive"].network, actions=actions, context_views=1)
    own = AutoregressiveTraining(validated=1, own_share=0.5)
    chosen = recipe.changed(
        autoregressive=gpt,
        autoregressive_loop={"steps": 40, "log_every": 10, "check_every": 40},
        autoregressive_training=own,
    )
    shutil.copytree(trained / "model", tmp_path / "model")
    train(store, tmp_path, "autoregressive", recipe=chosen, precision=FLOAT32)
    lines = [json.loads(line) for line in (tmp_path / "autoregressive" / "metrics.jsonl").read_text().splitlines()]
    loss = [line["model_loss"] for line in lines if "model_loss" in line]
    assert loss[-1] < 0.9 * loss[0]
    model = WorldModel.from_pretrained(tmp_path / "model", form="autoregressive")
    assert model.config.transition == gpt
    assert model.imagine(np.ones((32, 32), np.float32)).shape == (37, 32, 32)


def test_a_recipe_comes_from_yaml(trained, recipe, tmp_path):
    """The one a run has left is the one it was given; a short one changes the preset that it names."""
    assert read_recipe(trained / "recipe.yaml") == recipe
    short = tmp_path / "short.yaml"
    short.write_text("preset: small\ndirect_loop: {steps: 7, rate: 5e-4, weight_decay: 1}\nheld_out: 3\n")
    small = preset("small")
    wanted = small.changed(name="short", direct_loop={"steps": 7, "rate": 5e-4, "weight_decay": 1.0}, held_out=3)
    assert read_recipe(short) == wanted


def test_a_recipe_of_version_0_1_is_read(tmp_path):
    """What was renamed, and what was removed where it was off."""
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: old\nvision_losses: {critic_from: 0.6}\n"
        "direct_training: {targets: 3, appearance_share: 0.0, alignment: 0.0}\nseed: 3\n"
    )
    wanted = preset("tiny").changed(name="old", vision_training={"critic_from": 0.6}, direct_training={"targets": 3})
    assert read_recipe(path) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "direct_loop: {step: 7}",
        "direct_loop: 7",
        "direct_loop: {steps: 0}",
        "direct_loop: {steps: true}",
        "direct_loop: {batch: -1}",
        "direct_loop: {check_every: 0}",
        "direct_loop: {rate: .nan}",
        "direct_loop: {betas: [0.9]}",
        "direct_training: {pixel_views: -3}",
        "direct_training: {frontal_share: 3}",
        "sampler_training: {samples: 1}",
        "autoregressive_training: {own_share: 7}",
        "autoregressive: {heads: 7}",
        "autoregressive: {actions: jump, context_views: 2}",
        "direct: {tokens: 10}",
        "sampler: {hidden: 64}",
        "direct_training: {alignment: 0.1}",
        "direct_training: {appearance_share: 0.5}",
        "vectorial: {depth: 3}",
        "held_out: many",
        "held_out: -5",
        "__post_init__: 1",
        "1: 2",
        "preset: huge",
        "- 1",
        "a: b: c",
        "name: [",
    ],
)
def test_a_recipe_that_cannot_be_is_one_clear_line(tmp_path, text):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(InputError, match="is no recipe") as raised:
        read_recipe(tmp_path / "recipe.yaml")
    assert "\n" not in str(raised.value)


def test_the_recipes_that_ship_can_be_used():
    for path in Path("configs").glob("*gpu*.yaml"):
        assert read_recipe(path).name == path.stem
