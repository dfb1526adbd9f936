"""The objective of M's autoregressive form: the next view's tokens, by cross-entropy (the paper)."""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..transition.autoregressive import AutoregressiveTransition
from ..transition.blocks import embed_codebook
from ..transition.direct import ARC_DEG
from ..transition.rollout import context_steps, roll_out
from ..vision.vqgan import VisionModel
from .objective import Batch, Objective, TrainingStopped, draw_rows, follow
from .pictures import contact_sheet
from .vision import psnr, stored_to_network


@dataclass(frozen=True)
class AutoregressiveTraining:
    average_decay: float = 0.998
    validated: int = 2  # held-out patients whose whole roll-out is looked at; the next tokens of all are


class AutoregressiveObjective(Objective):
    """Tokens are cached, (patients, 37, n) of the standard arc. A batch counts pairs of adjacent views."""

    stage = "autoregressive"

    def __init__(
        self,
        model: AutoregressiveTransition,
        vision: VisionModel,
        tokens: np.ndarray,
        views: np.ndarray,
        weight: Tensor,
        training: AutoregressiveTraining,
    ) -> None:
        super().__init__()
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.training_config = training
        self._vision = (vision.eval().requires_grad_(False),)
        self._tokens, self._views, self._weight = tokens, views, weight
        self._train = len(weight)

    def prepare(self) -> None:
        """Embed tokens by how they look (before training; a resumed run restores it)."""
        embed_codebook(self.model.embed, self._vision[0].codebook.entries)
        self.average.load_state_dict(self.model.state_dict())

    def learned(self, part: str) -> nn.Module:
        return self.model

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        patients = draw_rows(self._weight, size, generator)
        return self._pairs(patients, generator)

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        return self._loss(self.model, batch)

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        follow(self.average, self.model, step, self.training_config.average_decay)
        return {}

    def validate(self) -> dict[str, float]:
        """Next-token figures of the held-out patients, and the PSNR of a few whole roll-outs (36 steps, both ways)."""
        held_out = len(self._tokens) - self._train
        if not held_out:
            return {}
        patients = torch.arange(self._train, len(self._tokens)).repeat(2)
        device = next(self.parameters()).device
        batch = {name: t.to(device) for name, t in self._pairs(patients, torch.Generator().manual_seed(0)).items()}
        loss, figures = self._loss(self.average, batch)
        decoded, x = self._rolled_out(min(held_out, self.training_config.validated))
        moved = [i for i, yaw in enumerate(ARC_DEG) if yaw != 0.0]
        decibels = torch.stack([psnr(decoded[:, i], x[:, i]).mean() for i in moved])
        return {"loss": float(loss), "accuracy": float(figures["accuracy"]), "psnr_rolled_out": float(decibels.mean())}

    def watch(self, step: int, figures: dict[str, float]) -> None:
        if step > self.patience and figures.get("distinct", 1.0) < 0.005:
            raise TrainingStopped(f"{self.stage}: one token is predicted everywhere at step {step}; lower the rate")

    def picture(self) -> np.ndarray | None:
        """One held-out patient's truth, and the roll-out from the frontal."""
        if self._train == len(self._tokens):
            return None
        decoded, x = self._rolled_out(1)
        return contact_sheet([x[0, ::6], decoded[0, ::6]])

    def configuration(self) -> dict[str, Any]:
        model, training = asdict(self.model.config), asdict(self.training_config)
        return {"model": model, "training": training, "patients": self._train}

    def _pairs(self, patients: Tensor, generator: torch.Generator) -> Batch:
        """A walk of each patient of random start, way and length: its context views and the next one."""
        count, size = len(ARC_DEG), len(patients)
        way = torch.randint(2, (size,), generator=generator) * 2 - 1
        latest = torch.randint(count - 1, (size,), generator=generator)
        latest = torch.where(way > 0, latest, count - 1 - latest)
        behind = torch.where(way > 0, latest, count - 1 - latest)  # how far back a walk can have begun
        walked = (torch.rand(size, generator=generator) * (behind + 1)).long()
        views = self.model.config.context_views
        seen = torch.tensor([context_steps(int(steps), views) for steps in walked])
        offsets = way[:, None] * (seen - walked[:, None])
        rows = patients.numpy()
        batch = {
            "context": torch.from_numpy(self._tokens[rows[:, None], (latest[:, None] + offsets).numpy()]).long(),
            "following": torch.from_numpy(self._tokens[rows, (latest + way).numpy()]).long(),
            "direction": (way > 0).long(),
        }
        return batch | ({"offsets": offsets} if views > 1 else {})

    def _loss(self, model: AutoregressiveTransition, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        logits = model(batch["context"], batch["direction"], batch["following"], batch.get("offsets"))
        loss = F.cross_entropy(logits.flatten(0, 1), batch["following"].flatten())
        guess = logits.detach().argmax(dim=-1)
        distinct = torch.tensor(len(guess.unique()) / guess.numel())
        return loss, {"accuracy": (guess == batch["following"]).float().mean(), "distinct": distinct}

    def _rolled_out(self, patients: int) -> tuple[Tensor, Tensor]:
        """Decoded roll-outs and truth, (patients, 37, 1, h, w) each."""
        device = next(self.parameters()).device
        chosen = slice(self._train, self._train + patients)
        frontal = torch.from_numpy(self._tokens[chosen, ARC_DEG.index(0.0)]).long().to(device)
        tokens = roll_out(self.average, frontal, 0.0, ARC_DEG)
        decoded = self._vision[0].decode_tokens(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
        x = stored_to_network(self._views[chosen])[:, :, None]
        return decoded, x.to(device)
