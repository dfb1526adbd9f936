"""The one training loop, on Lightning Fabric. Every stage brings its `Objective`; everything else is here.

AdamW, linear warm-up and cosine decay, clipping, metrics, pictures, checkpoints, monitors. Recipes count steps, so the
same recipe is the same training on every machine.
"""

import json
import logging
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn

from ..errors import InputError
from ..files import atomic_path
from .checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from .objective import Objective, TrainingStopped, step_generator
from .precision import resolve_precision


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast a stage is trained. `batch` counts what the objective draws: views, or patients."""

    steps: int
    batch: int
    rate: float = 5e-4
    final_rate: float = 0.02  # share of `rate` left at the end
    warm_up: int = 200
    weight_decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    log_every: int = 50
    check_every: int = 1000


@dataclass(frozen=True)
class Machine:
    """Where training runs; changes speed, not the recipe."""

    device: str = "cpu"
    precision: str = "auto"
    seed: int = 0


def learning_rate(config: LoopConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to `final_rate` of the peak."""
    if step < config.warm_up:
        return config.rate * (step + 1) / config.warm_up
    done = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return config.rate * (config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def fit(
    objective: Objective,
    config: LoopConfig,
    machine: Machine,
    out: Path,
    resume: bool = False,
    stop_at: int | None = None,
) -> None:
    """Train `objective` in place, writing metrics.jsonl, pictures and checkpoint.pt to `out`.

    Args:
        resume: go on from out/checkpoint.pt; the result is the same, number for number, as without the interruption.
        stop_at: leave early after this many steps, as an interruption would (the schedule is still that of all steps).

    Raises:
        InputError: the checkpoint is truncated, or belongs to another recipe.
        TrainingStopped: the monitors saw a collapse.
    """
    out.mkdir(parents=True, exist_ok=True)
    fabric = _fabric(machine)
    optimizers = {part: _optimizer(objective.learned(part), config) for part in objective.parts}
    wrapped, *fabric_optimizers = fabric.setup(objective, *optimizers.values())
    wrapped_optimizers = dict(zip(objective.parts, fabric_optimizers, strict=True))
    configuration = objective.configuration() | {"steps": config.steps, "batch": config.batch, "seed": machine.seed}
    start = _restore(objective, optimizers, configuration, out) if resume else 0
    journal = Journal(out / "metrics.jsonl", objective.stage, config.steps, start)

    end = min(config.steps, stop_at or config.steps)
    for step in range(start, end):
        progress = step / config.steps
        generator = step_generator(machine.seed, step)
        batch = {name: fabric.to_device(t) for name, t in objective.draw(config.batch, progress, generator).items()}
        for part in objective.parts:
            if not objective.active(part, progress):
                continue
            loss, figures = wrapped(batch, part, progress)
            _require_finite(loss, objective.stage, part, step)
            optimizer = wrapped_optimizers[part]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            fabric.backward(loss)
            norm = torch.nn.utils.clip_grad_norm_(objective.learned(part).parameters(), config.clip)
            if torch.isfinite(norm):  # one overflowing batch is skipped; a loss that stays non-finite stops the run
                optimizer.step()
            objective.zero_grad(set_to_none=True)
            journal.add(figures | {f"{part}_loss": loss.detach()})
        journal.add(objective.after_step(step, progress, step_generator(machine.seed, step, purpose=1)))
        done = step + 1
        if done % config.log_every == 0 or done == end:
            objective.watch(done, journal.write(done, learning_rate(config, step), config.batch))
        if done % config.check_every == 0 or done == end:
            _check(objective, optimizers, configuration, done, journal, out)


def _fabric(machine: Machine) -> Fabric:
    accelerator = "cuda" if machine.device.startswith("cuda") else machine.device
    precision: Any = resolve_precision(machine.precision, machine.device)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it repeats the precision on every run
    return Fabric(accelerator=accelerator, devices=1, precision=precision)


def _optimizer(module: nn.Module, config: LoopConfig) -> torch.optim.AdamW:
    """Weight decay for matrices and kernels; none for biases, norms and embeddings of one dimension."""
    learned = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.rate, betas=config.betas)


def _check(
    objective: Objective,
    optimizers: dict[str, torch.optim.AdamW],
    configuration: dict[str, Any],
    step: int,
    journal: "Journal",
    out: Path,
) -> None:
    """Look at held-out patients, draw them, and save the state."""
    objective.eval()
    with torch.no_grad():
        figures = objective.validate()
        picture = objective.picture()
    objective.train()
    journal.note(step, {f"validation_{name}": value for name, value in figures.items()})
    if picture is not None:
        (out / "pictures").mkdir(exist_ok=True)
        with atomic_path(out / "pictures" / f"{step:07d}.png") as temporary:
            Image.fromarray(picture).save(temporary)
    state = {
        "step": step,
        "objective": objective.state_dict(),
        "optimizers": {part: optimizer.state_dict() for part, optimizer in optimizers.items()},
        "configuration": json.dumps(configuration, sort_keys=True),
    }
    save_checkpoint(out / CHECKPOINT, state)


def _restore(
    objective: Objective, optimizers: dict[str, torch.optim.AdamW], configuration: dict[str, Any], out: Path
) -> int:
    state = load_checkpoint(out / CHECKPOINT)
    saved, wanted = json.loads(state["configuration"]), json.loads(json.dumps(configuration))
    if saved != wanted:
        different = sorted(key for key in saved.keys() | wanted.keys() if saved.get(key) != wanted.get(key))
        raise InputError(
            f"{out / CHECKPOINT} is of another recipe ({', '.join(different)} differ); train to another --out"
        )
    try:
        objective.load_state_dict(state["objective"])
        for part, optimizer in optimizers.items():
            optimizer.load_state_dict(state["optimizers"][part])
    except (RuntimeError, KeyError, ValueError):
        raise InputError(f"{out / CHECKPOINT} does not fit this model; train again without --resume") from None
    return int(state["step"])


def _require_finite(loss: Tensor, stage: str, part: str, step: int) -> None:
    if not torch.isfinite(loss):
        raise TrainingStopped(
            f"{stage}: the {part} loss is {loss.item()} at step {step};"
            " go on from the last checkpoint with a lower rate"
        )


class Journal:
    """metrics.jsonl and the line on the terminal: averages since the last line, speed, time left."""

    def __init__(self, path: Path, stage: str, steps: int, start: int) -> None:
        self.path, self.stage, self.steps = path, stage, steps
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._last_step, self._last_time = start, time.monotonic()
        self._rewind(start)

    def add(self, figures: dict[str, Any]) -> None:
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
            self._counts[name] = self._counts.get(name, 0) + 1

    def write(self, step: int, rate: float, batch: int) -> dict[str, float]:
        """Log the averages of the steps since the last call, and return them."""
        figures = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        now = time.monotonic()
        seconds = max(1e-9, now - self._last_time) / max(1, step - self._last_step)
        self._last_step, self._last_time = step, now
        self._append({"stage": self.stage, "step": step, "rate": rate, "s_per_step": seconds, **figures})
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        left = seconds * (self.steps - step) / 60
        print(
            f"{self.stage} {step}/{self.steps}  {shown}  {batch / seconds:.0f}/s  {left:.1f} min left",
            file=sys.stderr,
            flush=True,
        )
        return figures

    def note(self, step: int, figures: dict[str, float]) -> None:
        """Log figures that belong to one moment, such as those of validation."""
        if figures:
            self._append({"stage": self.stage, "step": step, **figures})
            shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
            print(f"{self.stage} {step}/{self.steps}  {shown}", file=sys.stderr, flush=True)
        self._last_time = time.monotonic()

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + os.linesep)

    def _rewind(self, start: int) -> None:
        """Forget what an interrupted run logged after its last checkpoint; a fresh run starts an empty journal."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if start and self.path.exists() else []
        kept = [line for line in lines if line.strip() and json.loads(line)["step"] <= start]
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
