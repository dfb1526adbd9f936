from dataclasses import replace

import pytest
import torch
from torch import nn

from xray2xray.core.errors import UsageError
from xray2xray.models.transitions import AutoregressiveTransition, DirectTransition
from xray2xray.models.transitions.registry import PARTS, forms
from xray2xray.models.vision import VisionModel
from xray2xray.training import loop
from xray2xray.training.loop import LoopConfig, Machine, fit, learning_rate
from xray2xray.training.objective import Objective, TrainingStopped, step_generator
from xray2xray.training.precision import resolve_precision
from xray2xray.training.presets import preset, with_steps
from xray2xray.training.steps import Steps


class Line(Objective):
    """Learn y = 2 x; after `broken_from` the data are not finite."""

    stage = "line"

    def __init__(self, broken_from: float = 2.0) -> None:
        super().__init__()
        self.model = nn.Linear(1, 1)
        nn.init.zeros_(self.model.weight)  # how far 60 steps come depends on where they start
        nn.init.zeros_(self.model.bias)
        self.broken_from = broken_from

    def learned(self, part):
        return self.model

    def draw(self, size, progress, generator):
        x = torch.randn(size, 1, generator=generator)
        return {"x": x / 0 if progress >= self.broken_from else x}

    def forward(self, batch, part, progress):
        return (self.model(batch["x"]) - 2 * batch["x"]).square().mean(), {}


CONFIG = LoopConfig(steps=60, batch=16, rate=0.1, warm_up=5, log_every=20, check_every=60, weight_decay=0.0)


def test_the_loop_learns(tmp_path):
    line = Line()
    fit(line, replace(CONFIG, steps=150), Machine(precision="32-true"), tmp_path)
    assert float(line.model.weight.detach()) == pytest.approx(2.0, abs=0.05)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(TrainingStopped, match="at step 30"):
        fit(Line(broken_from=0.5), CONFIG, Machine(precision="32-true"), tmp_path)


def test_the_rate_warms_up_and_decays():
    rates = [learning_rate(CONFIG, step) for step in range(60)]
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == rates[5] == pytest.approx(0.1)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.003


def test_each_step_has_its_own_batch_and_keeps_it():
    first, again, second, other = (
        torch.rand(4, generator=step_generator(seed, step, purpose))
        for seed, step, purpose in ((0, 1, 0), (0, 1, 0), (0, 2, 0), (0, 1, 1))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("save_after_s", "saved"), [(0.0, [20, 40, 60]), (3600.0, [60])])
def test_a_checkpoint_is_written_at_a_look_unless_the_last_is_young(tmp_path, monkeypatch, save_after_s, saved):
    written = []
    monkeypatch.setattr(loop, "save_checkpoint", lambda path, state: written.append(state["step"]))
    fit(Line(), replace(CONFIG, check_every=20, save_after_s=save_after_s), Machine(precision="32-true"), tmp_path)
    assert written == saved


class Dated(Line):
    """A line whose batches hold times, as float64."""

    def draw(self, size, progress, generator):
        return super().draw(size, progress, generator) | {"time": torch.full((size,), 1001.5, dtype=torch.float64)}

    def forward(self, batch, part, progress):
        self.seen = batch
        return super().forward(batch, part, progress)


def test_mixed_precision_leaves_batches_alone():
    dated = Dated()
    steps = Steps(dated, CONFIG, Machine(precision="bf16-mixed"))
    assert torch.isfinite(torch.as_tensor(steps(0)["model_loss"]))
    assert dated.seen["time"].dtype == torch.float64
    assert dated.seen["time"][0].item() == 1001.5  # bfloat16 would say 1000
    assert dated.seen["x"].dtype == torch.float32


def test_precision_is_resolved_to_what_fabric_knows():
    assert resolve_precision("auto") in ("bf16-mixed", "32-true")
    assert resolve_precision("32-true") == "32-true"


@pytest.mark.parametrize(
    ("name", "size", "grid"), [("tiny", 128, 8), ("small", 128, 16), ("base", 256, 16), ("large", 256, 16)]
)
def test_every_size_can_be_built(name, size, grid):
    chosen = preset(name)
    assert (chosen.vision.size, chosen.vision.grid) == (size, grid)
    with torch.device("meta"):  # shapes without memory
        VisionModel(chosen.vision)
        assert DirectTransition(chosen.stages["direct"].network).config.tokens == grid**2
        AutoregressiveTransition(chosen.stages["autoregressive"].network)


def test_the_embedded_default_fits_the_package():
    """fp16: each file at most 16 MiB, together 48 MiB."""
    tiny = preset("tiny")
    models = [PARTS[name].network(tiny.stages[name].network) for name in ("vision", *forms())]
    sizes = [
        sum(t.numel() * (2 if t.is_floating_point() else t.element_size()) for t in model.state_dict().values()) / 2**20
        for model in models
    ]
    assert max(sizes) < 16
    assert sum(sizes) < 48


def test_steps_can_be_cut():
    short = with_steps(preset("tiny"), 30)
    assert {settings.loop.steps for settings in short.stages.values()} == {30}
    assert short.stages["vision"].loop.warm_up == 3


def test_width_is_a_dial_of_its_own():
    chosen, narrow = preset("large"), preset("large", 128)
    gpt, direct = (
        replace(chosen.stages[name].network, dim=128, heads=2, **more)
        for name, more in (("autoregressive", {}), ("direct", {"condition_dim": 64}))
    )
    assert narrow.stages["autoregressive"].network == gpt
    assert narrow.stages["direct"].network == direct
    assert narrow.vision == replace(chosen.vision, widths=(16, 24, 48), head_width=6)
    assert preset("large", 1024) == replace(chosen, name="large-1024")
    with pytest.raises(UsageError, match="multiple"):
        preset("large", 200)
