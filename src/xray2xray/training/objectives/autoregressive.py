"""The objective of M's autoregressive form: the next view's tokens, by cross-entropy (the paper)."""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.transitions.autoregressive import AutoregressiveTransition
from ...models.transitions.blocks import embed_codebook
from ...models.transitions.direct import ARC_DEG
from ...models.transitions.rollout import context_steps, roll_out
from ...models.vision.vqgan import VisionModel
from ..objective import Batch, Objective, TrainingStopped, draw_rows, follow, require, require_shares
from ..pictures import contact_sheet
from .vision import psnr, stored_to_network


@dataclass(frozen=True)
class AutoregressiveTraining:
    """`frontal_share`: of the views that jumps start from. `own_share`: of the steps whose latest view is not the true
    one but what the model itself makes of the view before, as in a roll-out."""

    average_decay: float = 0.998
    frontal_share: float = 0.7
    own_share: float = 0.0
    validated: int = 2  # held-out patients whose whole roll-out is looked at; the next tokens of all are

    def __post_init__(self) -> None:
        require(self.validated >= 1, f"validated must be at least 1, got {self.validated}")
        require_shares(self, "average_decay", "frontal_share", "own_share")


class AutoregressiveObjective(Objective):
    """Tokens are cached, (patients, 37, n) of the standard arc. A batch counts pairs of views."""

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
        if "own" in batch:
            batch = batch | {"context": self._with_own(batch)}
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
        jumps = self.model.config.actions == "jump"
        return self._jumps(patients, generator) if jumps else self._steps(patients, generator)

    def _jumps(self, patients: Tensor, generator: torch.Generator) -> Batch:
        """Of each patient a view, often the frontal, and another one."""
        count, size, rows = len(ARC_DEG), len(patients), patients.numpy()
        given = torch.randint(count, (size,), generator=generator)
        frontal = torch.rand(size, generator=generator) < self.training_config.frontal_share
        given[frontal] = ARC_DEG.index(0.0)
        target = (given + 1 + torch.randint(count - 1, (size,), generator=generator)) % count
        arc = torch.tensor(ARC_DEG)
        return {
            "context": torch.from_numpy(self._tokens[rows, given.numpy()]).long()[:, None],
            "following": torch.from_numpy(self._tokens[rows, target.numpy()]).long(),
            "action": self.model.action_token(arc[target] - arc[given]),
        }

    def _steps(self, patients: Tensor, generator: torch.Generator) -> Batch:
        """A walk of each patient of random start, way and length: its context views and the next one."""
        count, size = len(ARC_DEG), len(patients)
        way = torch.randint(2, (size,), generator=generator) * 2 - 1
        latest = torch.randint(count - 1, (size,), generator=generator)
        latest = torch.where(way > 0, latest, count - 1 - latest)
        behind = torch.where(way > 0, latest, count - 1 - latest)  # how far back a walk can have begun
        walked = (torch.rand(size, generator=generator) * (behind + 1)).long()
        context, offsets = self._seen(patients, latest, way, walked)
        batch = {
            "context": context,
            "following": torch.from_numpy(self._tokens[patients.numpy(), (latest + way).numpy()]).long(),
            "action": (way > 0).long(),
        }
        if self.model.config.context_views > 1:
            batch["offsets"] = offsets
        if self.training_config.own_share > 0:
            own = (walked > 0) & (torch.rand(size, generator=generator) < self.training_config.own_share)
            back = (walked > 0).long()
            before, before_offsets = self._seen(patients, latest - way * back, way, walked - back)
            batch |= {"own": own, "before": before, "before_offsets": before_offsets}
        return batch

    def _seen(self, patients: Tensor, latest: Tensor, way: Tensor, walked: Tensor) -> tuple[Tensor, Tensor]:
        """True context (b, views, n) of walks that have come to `latest`, and its offsets (b, views)."""
        seen = torch.tensor([context_steps(int(steps), self.model.config.context_views) for steps in walked])
        offsets = way[:, None] * (seen - walked[:, None])
        places = patients.numpy()[:, None], (latest[:, None] + offsets).numpy()
        return torch.from_numpy(self._tokens[places]).long(), offsets

    @torch.no_grad()
    def _with_own(self, batch: Batch) -> Tensor:
        """The context, in which some latest views are what the model makes of those before: with what it has learned,
        and each token after true ones, since writing a view takes a pass for every token."""
        offsets = batch["before_offsets"] if "offsets" in batch else None
        logits = self.model(batch["before"], batch["action"], batch["context"][:, -1], offsets)
        latest = torch.where(batch["own"][:, None], logits.argmax(dim=-1), batch["context"][:, -1])
        return torch.cat([batch["context"][:, :-1], latest[:, None]], dim=1)

    def _loss(self, model: AutoregressiveTransition, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        logits = model(batch["context"], batch["action"], batch["following"], batch.get("offsets"))
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
