"""Real pre-training, a few steps of every method: it learns, what it writes, and a resumed run is the whole one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.store import ViewStore
from xray2xray.experiments.budget import evenly
from xray2xray.experiments.pretraining import train as module
from xray2xray.experiments.pretraining.__main__ import main
from xray2xray.experiments.pretraining.encoder_file import load_encoder
from xray2xray.experiments.pretraining.recipes import METHODS, Recipe, recipe
from xray2xray.experiments.pretraining.train import pretrain
from xray2xray.training.checkpoint import CHECKPOINT

LEARNED = {"mae": "model_loss", "igpt": "model_loss", "dino": "views", "contrastive": "model_loss"}
Run = Callable[..., Path]


@pytest.fixture(scope="session")
def run(chests: Path, vision_folder: Path, small: Callable[[str], Recipe]) -> Run:
    def go(method: str, out: Path, **options: Any) -> Path:
        options = {"chosen": small(method), "source": vision_folder, "precision": "32-true"} | options
        return pretrain(chests, method, out, **options)

    return go


@pytest.fixture(scope="session", params=LEARNED)
def trained(run: Run, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp(request.param)
    assert run(request.param, out) == out / "encoder"
    return request.param, out


def test_the_loss_falls(trained: tuple[str, Path]) -> None:
    method, out = trained
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    losses = [line[LEARNED[method]] for line in lines if "s_per_step" in line]
    assert losses[-1] < 0.97 * losses[0]
    assert all(line["spread"] > 0.05 for line in lines if "s_per_step" in line)
    assert 0 <= lines[-1]["validation_same_patient"] <= 1
    assert np.asarray(Image.open(max(out.glob("pictures/*.png")))).shape[1] == 6 * 32


def test_the_result_is_an_encoder(trained: tuple[str, Path], chests: Path, small: Callable[[str], Recipe]) -> None:
    method, out = trained
    encoder = load_encoder(out / "encoder")
    views_p = ViewStore.open(chests).read("chest-00").views_p[:3]
    features, tokens = encoder.features(views_p), encoder.tokens(views_p)
    assert features.shape == (3, 32)
    assert tokens.shape == (3, 16, 32)
    assert np.abs(features[0] - features[2]).max() > 1e-3
    notes = encoder.notes
    assert (notes["method"], notes["steps"], notes["patients"]) == (method, small(method).loop.steps, 10)


def test_resuming_is_exact(
    trained: tuple[str, Path], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after a checkpoint in the middle, resumed, and every number of the state compared."""
    method, whole = trained

    def interrupted(*arguments: Any) -> None:
        fit(*arguments, stop_at=10)

    fit = module.fit
    with monkeypatch.context() as patch:
        patch.setattr(module, "fit", interrupted)
        run(method, tmp_path)
    run(method, tmp_path, resume=True)
    first, second = (torch.load(out / CHECKPOINT, weights_only=True) for out in (whole, tmp_path))
    assert first["step"] == second["step"] > 20
    assert first["objective"].keys() == second["objective"].keys()
    for name, tensor in first["objective"].items():
        assert torch.equal(tensor, second["objective"][name]), name


def test_a_run_is_neither_trained_over_nor_resumed_as_another(trained: tuple[str, Path], run: Run) -> None:
    method, out = trained
    with pytest.raises(UsageError, match="--resume"):
        run(method, out)
    with pytest.raises(InputError, match=r"another recipe \(steps differ\)"):
        run(method, out, resume=True, steps=30)
    with pytest.raises(InputError, match=r"another recipe \(.*data.* differ\)"):
        run(method, out, resume=True, limit=11, latents=out / "others")


def test_seconds_buy_steps(run: Run, tmp_path: Path) -> None:
    assert load_encoder(run("contrastive", tmp_path, seconds=1e-3)).notes["steps"] == 3  # one for each look
    assert json.loads((tmp_path / "plan.json").read_text()) == {"seconds": 1e-3, "steps": 3, "check_every": 1}


def test_wrong_requests(run: Run, chests: Path, tmp_path: Path, small: Callable[[str], Recipe]) -> None:
    with pytest.raises(UsageError, match="one budget"):
        run("mae", tmp_path, steps=3, seconds=3.0)
    with pytest.raises(UsageError, match="more than 0"):
        run("mae", tmp_path, steps=0)
    with pytest.raises(UsageError, match="choose mae, igpt"):
        pretrain(chests, "moco", tmp_path)
    with pytest.raises(UsageError, match="choose tiny, small"):
        pretrain(chests, "mae", tmp_path, size="huge")
    with pytest.raises(InputError, match="32 px, the networks want 128"):
        pretrain(chests, "mae", tmp_path)
    with pytest.raises(InputError, match="neither a packaged model nor a folder"):
        run("igpt", tmp_path, source=tmp_path / "none")


def test_the_command_says_what_is_wrong(chests: Path, tmp_path: Path, refused) -> None:
    words = [chests, "--method", "dino", "--out", tmp_path / "run"]
    assert refused(main, words).startswith("1 error: ")
    assert refused(main, [*words, "--steps", "-1"]).startswith("2 error: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", METHODS)
def test_every_recipe_spreads_its_schedule_over_the_steps(method: str) -> None:
    for size in ("tiny", "small"):
        loop = recipe(method, size).loop_of(evenly(1000, 10))
        assert (loop.steps, loop.warm_up, loop.check_every) == (1000, 100, 100)
        assert recipe(method, size).loop_of(evenly(5, 10)).check_every == 1
