"""The objective of M's autoregressive form: the next view's tokens, by cross-entropy (the paper)."""

import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.transitions.autoregressive import AutoregressiveConfig, AutoregressiveTransition, context_steps
from ...models.transitions.base import Observation, TokenViews
from ...models.transitions.blocks import embed_codebook
from ...models.vision.vqgan import VisionModel
from ...projection.geometry import STANDARD_ARC, Pose, as_poses
from ..objective import Batch, Objective, TrainingStopped, draw_rows, follow, require, require_shares
from ..pictures import contact_sheet
from ..settings import Settings, Size
from ..steps import LoopConfig
from .vision import psnr, stored_to_network

if TYPE_CHECKING:
    from ..stage_data import StageData


@dataclass(frozen=True)
class AutoregressiveTraining:
    """`frontal_share`: of the given views, where each view is predicted from one. `own_share`: of the steps of a
    roll-out whose latest view is not the true one but the model's own prediction of it."""

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

    @classmethod
    def settings(cls, size: Size) -> Settings:
        seen = size.vision
        network = AutoregressiveConfig(seen.tokens, seen.codebook_size, size.dim, size.heads, size.layers)
        if size.steps is None:
            loop = LoopConfig(steps=2300, batch=16, rate=8e-4, betas=(0.9, 0.95), check_every=500)
            return Settings(replace(network, actions="jump"), loop, AutoregressiveTraining())
        loop = LoopConfig(steps=size.steps, batch=64, rate=3e-4, warm_up=1000, betas=(0.9, 0.95))
        return Settings(network, loop, AutoregressiveTraining())

    @classmethod
    def build(cls, model: AutoregressiveTransition, data: "StageData", training: AutoregressiveTraining) -> Self:
        return cls(model, data.vision, data.tokens, data.views, data.weight, training)

    @property
    def result(self) -> AutoregressiveTransition:
        return self.average

    def prepare(self, started: bool = False) -> None:
        """Embed tokens by their codebook entries, unless they are embedded already."""
        if started:
            return
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
        moved = [i for i, yaw in enumerate(STANDARD_ARC) if yaw != 0.0]
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
        return (self._any_two if self.model.direct else self._steps)(patients, generator)

    def _any_two(self, patients: Tensor, generator: torch.Generator) -> Batch:
        """Of each patient a view, often the frontal, and another one."""
        count, size, rows = len(STANDARD_ARC), len(patients), patients.numpy()
        given = torch.randint(count, (size,), generator=generator)
        frontal = torch.rand(size, generator=generator) < self.training_config.frontal_share
        given[frontal] = STANDARD_ARC.index(0.0)
        target = (given + 1 + torch.randint(count - 1, (size,), generator=generator)) % count
        arc = torch.tensor(STANDARD_ARC)
        return {
            "context": torch.from_numpy(self._tokens[rows, given.numpy()]).long()[:, None],
            "following": torch.from_numpy(self._tokens[rows, target.numpy()]).long(),
            "action": self.model.action_token(arc[target] - arc[given]),
        }

    def _steps(self, patients: Tensor, generator: torch.Generator) -> Batch:
        """A roll-out of each patient of random start, direction and length: its context views and the next one."""
        count, size = len(STANDARD_ARC), len(patients)
        way = torch.randint(2, (size,), generator=generator) * 2 - 1
        latest = torch.randint(count - 1, (size,), generator=generator)
        latest = torch.where(way > 0, latest, count - 1 - latest)
        behind = torch.where(way > 0, latest, count - 1 - latest)  # how far back a roll-out can have begun
        done = (torch.rand(size, generator=generator) * (behind + 1)).long()
        context, offsets = self._seen(patients, latest, way, done)
        batch = {
            "context": context,
            "following": torch.from_numpy(self._tokens[patients.numpy(), (latest + way).numpy()]).long(),
            "action": (way > 0).long(),
        }
        if self.model.config.context_views > 1:
            batch["offsets"] = offsets
        if self.training_config.own_share > 0:
            own = (done > 0) & (torch.rand(size, generator=generator) < self.training_config.own_share)
            back = (done > 0).long()
            before, before_offsets = self._seen(patients, latest - way * back, way, done - back)
            batch |= {"own": own, "before": before, "before_offsets": before_offsets}
        return batch

    def _seen(self, patients: Tensor, latest: Tensor, way: Tensor, done: Tensor) -> tuple[Tensor, Tensor]:
        """True context (b, views, n) of roll-outs that have come to `latest`, and its offsets (b, views)."""
        seen = torch.tensor([context_steps(int(steps), self.model.config.context_views) for steps in done])
        offsets = way[:, None] * (seen - done[:, None])
        places = patients.numpy()[:, None], (latest[:, None] + offsets).numpy()
        return torch.from_numpy(self._tokens[places]).long(), offsets

    @torch.no_grad()
    def _with_own(self, batch: Batch) -> Tensor:
        """The context, in which some latest views are predicted from those before, each token after true ones: to write
        a whole view takes a pass for every token."""
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
        frontal = torch.from_numpy(self._tokens[chosen, STANDARD_ARC.index(0.0)]).long().to(device)
        state = self.average.observe([Observation(TokenViews(frontal), Pose(0.0), self._vision[0])])
        tokens = self.average.predict(state, as_poses(STANDARD_ARC)).values
        decoded = self._vision[0].decode_tokens(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
        x = stored_to_network(self._views[chosen])[:, :, None]
        return decoded, x.to(device)
