"""FLOPs against torch's own counter; and the benchmarks themselves, at a size that takes no time."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import flops, training
from xray2xray.models.transitions import AutoregressiveTransition, DirectTransition
from xray2xray.models.vision import VisionModel
from xray2xray.training.presets import preset
from xray2xray.training.steps import Machine, Steps


def counted(run: Callable[[], object]) -> int:
    """By torch, attention as the two matrix products that it is."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("size", training.SIZES)
def test_forward_flops_are_those_that_torch_counts(size):
    chosen = preset(size)
    with torch.device("meta"), torch.no_grad():  # shapes without memory or time
        vision, gpt = VisionModel(chosen.vision), AutoregressiveTransition(chosen.stages["autoregressive"].network)
        x = torch.empty(1, 1, chosen.vision.size, chosen.vision.size)
        latents = torch.empty(1, chosen.vision.tokens, chosen.vision.latent_dim)
        tokens = torch.empty(1, chosen.vision.tokens, dtype=torch.long)
        assert counted(lambda: vision.encode(x)) == flops.encoder(chosen.vision)
        assert counted(lambda: vision.decode(latents)) == flops.decoder(chosen.vision)
        assert counted(lambda: vision.tokens(latents)) == flops.codebook(chosen.vision)
        assert counted(lambda: gpt(tokens[:, None], tokens[:, 0], tokens)) == flops.autoregressive(gpt.config)


@torch.no_grad()
@pytest.mark.parametrize("targets", [1, 3])
def test_flops_of_a_direct_prediction_are_those_that_torch_counts(targets):
    model = DirectTransition(preset("tiny").stages["direct"].network)
    latents, yaw, target_yaw = torch.zeros(1, 64, 32), torch.zeros(1), torch.zeros(1, targets)
    found = counted(lambda: model.expected(model.look(latents, yaw), target_yaw))
    assert found == flops.direct(model.config, targets)


@pytest.mark.parametrize("stage", ["vision", "direct", "autoregressive"])
def test_flops_of_a_step_are_about_those_that_torch_counts(stage):
    chosen = preset("tiny")
    objective = training.made_up(stage, chosen)
    batch = objective.draw(2, 0.5, torch.Generator().manual_seed(0))
    found = counted(lambda: objective(batch, "model", 0.5)[0].backward())
    # A first layer needs no gradient of its input, and the linear prior none at all.
    assert found == pytest.approx(flops.training_step(stage, chosen, 2), rel=0.1)


@pytest.mark.parametrize("stage", ["vision", "direct", "autoregressive"])
@pytest.mark.parametrize("size", training.SIZES)
def test_every_size_takes_real_steps(size, stage):
    """At full depth and reduced width. Three steps, as some layers begin at zero and wake up those before them."""
    narrow = preset(size, 32)
    objective = training.made_up(stage, narrow, patients=1)
    before = {name: p.detach().clone() for name, p in objective.learned("model").named_parameters()}
    loop = replace(narrow.stages[stage].loop, batch=2 if stage == "vision" else 1)
    steps = Steps(objective, loop, Machine(precision="32-true"))
    middle = loop.steps // 2 + 1
    losses = [float(steps(middle + i)["model_loss"]) for i in range(3)]
    assert np.isfinite(losses).all()
    still = {name for name, p in objective.learned("model").named_parameters() if torch.equal(p, before[name])}
    assert still <= {"offset.weight"}  # which only more than one view of context would use


def test_the_table_of_sizes(tmp_path):
    out = tmp_path / "sizes.json"
    result = training.main(["--sizes-only", "--json", str(out)])
    assert json.loads(out.read_text()) == result
    tiny, small, base, large = result["sizes"].values()
    assert tiny["autoregressive_millions"] == pytest.approx(5.38, abs=0.01)  # 6 blocks of 0.79, two embeddings
    assert tiny["stored_gb"] < 0.032
    for name in tiny:
        assert tiny[name] <= small[name] <= base[name] <= large[name], name


def test_speed_is_measured_on_real_steps():
    row = training.speed_row("autoregressive", preset("tiny", 32), batch=1, rounds=1, device="cpu")
    assert row["tokens_per_s"] == pytest.approx(64 * row["views_per_s"])
    assert row["share_of_peak"] == pytest.approx(row["tflop_per_s"] / row["peak_tflop_per_s"])
    assert row["views_per_s"] > 0
