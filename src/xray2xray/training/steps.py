"""One step of training: the batch of its number, each part's loss, gradient and optimizer, on Lightning Fabric.

AdamW or Muon, linear warm-up and cosine decay, clipping. Recipes count steps, so the same recipe is the same
training on every machine.
"""

import logging
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..core.limits import MAX_BATCH
from .muon import Muon
from .objective import Objective, TrainingStopped, require, step_generator
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
    optimizer: Literal["adamw", "muon"] = "adamw"
    save_after_s: float = 0.0  # at a look a checkpoint is written only if the last is at least this old

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "log_every", "check_every"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}")
        require(self.batch <= MAX_BATCH, f"batch must be at most {MAX_BATCH}, got {self.batch}")
        require(0 <= self.rate < math.inf, f"rate must be a number from 0 on, got {self.rate}")
        require(0 <= self.final_rate <= 1, f"final_rate is a share of the rate, got {self.final_rate}")
        require(self.warm_up >= 0 and self.weight_decay >= 0, "warm_up and weight_decay must not be negative")
        require(len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "betas are two numbers from 0 to below 1")
        require(self.optimizer in ("adamw", "muon"), f"optimizer must be adamw or muon, got {self.optimizer!r}")
        require(self.clip > 0, f"clip must be more than 0, got {self.clip}")


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


class Steps:
    """One step of training after the other: steps(7) draws the batch of step 7, moves every part, and tells figures."""

    def __init__(self, objective: Objective, config: LoopConfig, machine: Machine) -> None:
        self.objective, self.config, self.seed = objective, config, machine.seed
        self.optimizers = {part: _optimizer(objective.learned(part), config) for part in objective.parts}
        self._fabric = _fabric(machine)
        _, *wrapped = self._fabric.setup(objective, *self.optimizers.values())
        self._wrapped_optimizers = dict(zip(objective.parts, wrapped, strict=True))

    def __call__(self, step: int) -> dict[str, Any]:
        objective, config, fabric = self.objective, self.config, self._fabric
        progress = step / config.steps
        drawn = objective.draw(config.batch, progress, step_generator(self.seed, step))
        batch = {name: fabric.to_device(t) for name, t in drawn.items()}
        figures: dict[str, Any] = {}
        for part in objective.parts:
            if not objective.active(part, progress):
                continue
            # Not through Fabric's wrapper, which rounds every input to bfloat16: targets, pixels, years of follow-up.
            with fabric.autocast():
                loss, told = objective(batch, part, progress)
            _require_finite(loss, objective.stage, part, step)
            optimizer = self._wrapped_optimizers[part]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            fabric.backward(loss)
            norm = torch.nn.utils.clip_grad_norm_(objective.learned(part).parameters(), config.clip)
            if torch.isfinite(norm):  # one overflowing batch is skipped; a loss that stays non-finite stops the run
                optimizer.step()
            objective.zero_grad(set_to_none=True)
            figures |= told | {f"{part}_loss": loss.detach()}
        return figures | objective.after_step(step, progress, step_generator(self.seed, step, purpose=1))


def _fabric(machine: Machine) -> Fabric:
    accelerator, _, number = machine.device.partition(":")
    devices: list[int] | int = [int(number)] if number else 1
    precision: Any = resolve_precision(machine.precision, machine.device)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it repeats the precision on every run
    return Fabric(accelerator=accelerator, devices=devices, precision=precision)


def _optimizer(module: nn.Module, config: LoopConfig) -> torch.optim.AdamW:
    """Weight decay for matrices and kernels; none for biases, norms and embeddings of one dimension."""
    learned = [p for p in module.parameters() if p.requires_grad]
    matrices, vectors = ([p for p in learned if (p.ndim > 1) == wanted] for wanted in (True, False))
    orthogonal = config.optimizer == "muon"
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": config.weight_decay, "orthogonal": orthogonal},
        {"params": vectors, "weight_decay": 0.0, "orthogonal": False},
    ]
    kind = Muon if orthogonal else torch.optim.AdamW
    return kind(groups, lr=config.rate, betas=config.betas)


def _require_finite(loss: Tensor, stage: str, part: str, step: int) -> None:
    if not torch.isfinite(loss):
        raise TrainingStopped(
            f"{stage}: the {part} loss is {loss.item()} at step {step};"
            " go on from the last checkpoint with a lower rate"
        )
