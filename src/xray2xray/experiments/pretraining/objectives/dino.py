"""The objective of self-distillation: what the teacher says of whole views, the student must say of parts of them."""

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....models.vision.normalise import to_network
from ....training.objective import Batch, TrainingStopped, follow
from ..crops import random_blocks, random_crops
from ..encoder import Encoder, ViTEncoder
from ..networks.dino import SelfDistillation, distillation_loss, koleo, sinkhorn
from .objective import PretrainingObjective, spread

MUTE = 0.01  # nats; untrained teachers are far above


@dataclass(frozen=True)
class DINOTraining:
    """Two large parts of each view and `small` small ones. The large parts are smaller than the view as it will be met:
    a part that is blown up to the same size shows anatomy larger (Touvron et al. 2019, arXiv 1906.06423)."""

    large_size: int = 96
    small_size: int = 48
    small: int = 4
    large_scale: tuple[float, float] = (0.4, 1.0)
    small_scale: tuple[float, float] = (0.1, 0.4)
    masked: tuple[float, float] = (0.1, 0.5)  # shares of the patches of every second large part
    momentum: float = 0.99  # at first; 1 at the end
    temperature: float = 0.04  # of the teacher; the papers' rise to 0.07 is for long trainings, see `information`
    patch_weight: float = 1.0
    koleo_weight: float = 0.1


class DINOObjective(PretrainingObjective):
    stage = "dino"

    def __init__(
        self,
        student: SelfDistillation,
        views: np.ndarray,
        patients: Sequence[str],
        held_out: int,
        training: DINOTraining,
    ) -> None:
        super().__init__(views, patients, held_out)
        self.student = student
        self.teacher = copy.deepcopy(student).requires_grad_(False)
        self.training_config = training

    def learned(self, part: str) -> nn.Module:
        return self.student

    def encoder(self) -> Encoder:
        return ViTEncoder(self.teacher.encoder, "class")

    def batch(self, views_p: Tensor, generator: torch.Generator) -> Batch:
        """`large` (2 b, ...) and `small` (`small` * b, ...): first the first part of each patient, then the second."""
        training, patch = self.training_config, self.student.config.encoder.patch
        views = views_p[:, 0]
        large, small = (
            to_network(random_crops(views.repeat(count, 1, 1), size, scale, generator))[:, None]
            for count, size, scale in (
                (2, training.large_size, training.large_scale),
                (training.small, training.small_size, training.small_scale),
            )
        )
        masked = random_blocks(len(large), -(-training.large_size // patch), training.masked, generator)
        number = torch.arange(len(large))
        masked[(number + number // len(views)) % 2 == 1] = False
        return {"large": large, "small": small, "masked": masked}

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        training, student, masked = self.training_config, self.student, batch["masked"]
        with torch.no_grad():
            whole, whole_patches = self.teacher(batch["large"])
            named = sinkhorn(self.teacher.head(whole), training.temperature)
            named_patches = sinkhorn(self.teacher.head(whole_patches[masked]), training.temperature)

        large, patches = student(batch["large"], masked)
        small, _ = student(batch["small"])
        first, second = named.chunk(2)
        across = distillation_loss(student.head(large), torch.cat([second, first]))
        local = distillation_loss(student.head(small), ((first + second) / 2).repeat(training.small, 1))
        views_loss = (across + training.small * local) / (1 + training.small)  # each pair of parts alike
        patch_loss = distillation_loss(student.head(patches[masked]), named_patches)
        apart = (koleo(large.chunk(2)[0]) + koleo(large.chunk(2)[1])) / 2
        loss = views_loss + training.patch_weight * patch_loss + training.koleo_weight * apart
        figures = {
            "views": views_loss.detach(),
            "patches": patch_loss.detach(),
            "spread": spread(whole),
            "named": information(named),
        }
        return loss, figures

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        momentum = 1 - (1 - self.training_config.momentum) * (1 + math.cos(math.pi * progress)) / 2
        follow(self.teacher, self.student, step, momentum)
        return {}

    def watch(self, step: int, figures: dict[str, float]) -> None:
        super().watch(step, figures)
        if figures.get("named", 1.0) < MUTE:
            raise TrainingStopped(
                f"{self.stage}: the teacher says the same of all views at step {step}"
                f" ({figures['named']:.2g} nats about which is which); lower its temperature or the rate"
            )

    def agreed_settings(self) -> dict[str, Any]:
        return {"model": asdict(self.student.config), "training": asdict(self.training_config)}


def information(named: Tensor) -> Tensor:
    """How much distributions (b, K) tell about which row they belong to, in nats: 0 where all rows are alike.

    What a student can learn from a teacher. It grows only while the teacher is clearly sharper than the student.
    """

    def entropy(p: Tensor) -> Tensor:
        return -(p * p.clamp_min(1e-30).log()).sum(dim=-1)

    return entropy(named.mean(dim=0)) - entropy(named).mean()
