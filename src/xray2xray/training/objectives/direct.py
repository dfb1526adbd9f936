"""The objective of M's direct form: regress V's latents of other views, later also their pixels."""

import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ...models.transitions.base import LatentViews, Observation
from ...models.transitions.direct import DirectConfig, DirectTransition
from ...models.vision.vqgan import VisionModel
from ...projection.geometry import STANDARD_ARC, Pose, as_poses
from ..objective import Batch, Objective, TrainingStopped, draw_rows, follow, require, require_shares
from ..pictures import contact_sheet
from ..settings import Settings, Size
from ..steps import LoopConfig
from .vision import psnr, stored_to_network

if TYPE_CHECKING:
    from ..stage_data import StageData

FAR_DEG = 30.0  # claims are made over the views at least this far from the input


@dataclass(frozen=True)
class DirectTraining:
    """`pixel_from`: the share of steps after which pixels count; `pixel_views`: how many of a batch are decoded.

    `mirrored`: half of the patients have left and right exchanged, so that there are twice as many.
    """

    targets: int = 4
    frontal_share: float = 0.7
    average_decay: float = 0.998
    pixel_weight: float = 30.0
    pixel_from: float = 0.3
    pixel_views: int = 8
    mirrored: bool = False

    def __post_init__(self) -> None:
        require(1 <= self.targets <= len(STANDARD_ARC), f"targets must be 1 to {len(STANDARD_ARC)}, got {self.targets}")
        require(self.pixel_weight >= 0 and self.pixel_views >= 1, "pixels want a weight from 0 on and a view at least")
        require_shares(self, "frontal_share", "average_decay", "pixel_from")


class DirectObjective(Objective):
    """Latents are cached, (patients, 37, n, C) float16 of the standard arc; views, uint16 (patients, 37, size, size),
    are touched for the pixel loss and for validation only. A batch counts patients, drawn as `weight` says; those
    beyond its length are held out. `mirrored` are the latents of the mirrored patients, where the training wants them.
    """

    stage = "direct"

    def __init__(
        self,
        model: DirectTransition,
        vision: VisionModel,
        latents: np.ndarray,
        views: np.ndarray,
        weight: Tensor,
        training: DirectTraining,
        mirrored: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        # The average over the last few hundred steps generalises better than any one of them: it is what is kept.
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.training_config = training
        self._vision = (vision.eval().requires_grad_(False),)  # in a tuple: frozen, so no part of this stage's state
        self._latents, self._views, self._weight, self._mirrored = latents, views, weight, mirrored
        self._train = len(weight)

    @classmethod
    def settings(cls, size: Size) -> Settings:
        seen = size.vision
        before = size.layers // 2
        parts = {"trunk": before, "head": size.layers - before}
        network = DirectConfig(seen.tokens, seen.latent_dim, size.dim, size.heads, **parts)
        if size.steps is None:
            network = replace(network, condition_dim=max(8, size.dim // 4))
            loop = LoopConfig(steps=1800, batch=12, rate=8e-4, check_every=600)
        else:
            network = replace(network, condition_dim=size.dim // 2, prior_inputs=256, prior_outputs=512)
            loop = LoopConfig(steps=size.steps, batch=32, rate=3e-4, warm_up=1000)
        return Settings(network, loop, DirectTraining())

    @classmethod
    def build(cls, model: DirectTransition, data: "StageData", training: DirectTraining) -> Self:
        mirrored = data.mirrored_latents() if training.mirrored else None
        return cls(model, data.vision, data.latents, data.views, data.weight, training, mirrored)

    @property
    def result(self) -> DirectTransition:
        return self.average

    def prepare(self, started: bool = False) -> None:
        """Fit the linear prior, unless the weights come with one."""
        if started:
            return
        learned = [some[: self._train] for some in (self._latents, self._mirrored) if some is not None]
        # Each patient beside its mirror image: the penalty is chosen on the last patients, who must be held out.
        everyone = learned[0] if len(learned) == 1 else np.stack(learned, axis=1).reshape(-1, *learned[0].shape[1:])
        self.model.prior.fit(torch.from_numpy(everyone))
        self.average.prior.load_state_dict(self.model.prior.state_dict())

    def learned(self, part: str) -> nn.Module:
        return self.model

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        training = self.training_config
        frontal = STANDARD_ARC.index(0.0)
        patients = draw_rows(self._weight, size, generator)
        given = torch.randint(len(STANDARD_ARC), (size,), generator=generator)
        given[torch.rand(size, generator=generator) < training.frontal_share] = frontal
        targets = torch.rand(size, len(STANDARD_ARC), generator=generator).argsort(dim=1)[:, : training.targets]
        mirror = torch.zeros(size, dtype=torch.bool)
        if self._mirrored is not None:
            mirror = torch.rand(size, generator=generator) < 0.5
        arc = torch.tensor(STANDARD_ARC)
        batch = {
            "given": self._cached(patients, given, mirror),
            "given_yaw": arc[given],
            "wanted": self._cached(patients[:, None], targets, mirror),
            "target_yaw": arc[targets],
        }
        if self._pixels_count(progress):
            count = min(training.pixel_views, size * training.targets)
            chosen = torch.randperm(size * training.targets, generator=generator)[:count]
            row, column = chosen // training.targets, chosen % training.targets
            x = self._pixels(patients[row], targets[row, column], mirror[row])
            batch |= {"chosen": chosen, "x": x}
        return batch

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        predicted, _ = self.model.expected(self.model.look(batch["given"], batch["given_yaw"]), batch["target_yaw"])
        loss = (predicted - batch["wanted"]).square().mean()
        # Collapse shows as predictions that no longer differ between patients .
        figures = {"latent_mse": loss.detach(), "spread": predicted.detach().std(dim=(0, 1)).mean()}
        if "x" in batch:
            decoded = self._vision[0].decode(predicted.flatten(0, 1)[batch["chosen"]])
            pixel_mse = (decoded - batch["x"]).square().mean()
            loss = loss + self.training_config.pixel_weight * pixel_mse
            figures["psnr"] = psnr(decoded, batch["x"]).mean().detach()
        return loss, figures

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        follow(self.average, self.model, step, self.training_config.average_decay)
        return {}

    def validate(self) -> dict[str, float]:
        """PSNR and latent error of the held-out patients' views far from the frontal, by the averaged weights."""
        if self._train == len(self._latents):
            return {}
        square, decibels = [], []
        for patient in range(self._train, len(self._latents)):
            predicted, decoded, x, wanted = self._held_out(patient)
            far = torch.tensor([abs(yaw) >= FAR_DEG for yaw in STANDARD_ARC], device=x.device)
            square.append((predicted - wanted)[far].square().mean())
            decibels.append(psnr(decoded, x)[far].mean())
        return {"latent_mse": float(torch.stack(square).mean()), "psnr_beyond_30": float(torch.stack(decibels).mean())}

    def watch(self, step: int, figures: dict[str, float]) -> None:
        if step > self.patience and figures.get("spread", 1.0) < 1e-3:
            raise TrainingStopped(f"{self.stage}: all predictions are the same at step {step}; lower the rate")

    def picture(self) -> np.ndarray | None:
        """One held-out patient's truth, and what is predicted from the frontal."""
        if self._train == len(self._latents):
            return None
        _, decoded, x, _ = self._held_out(self._train)
        return contact_sheet([x[::6], decoded[::6]])

    def configuration(self) -> dict[str, Any]:
        model, training = asdict(self.model.config), asdict(self.training_config)
        if not training["mirrored"]:  # checkpoints of earlier versions do not have it
            del training["mirrored"]
        return {"model": model, "training": training, "patients": self._train}

    def _pixels_count(self, progress: float) -> bool:
        return self.training_config.pixel_weight > 0 and progress >= self.training_config.pixel_from

    def _cached(self, patients: Tensor, angles: Tensor, mirror: Tensor) -> Tensor:
        """Latents of patients (b, ...) at angles (b, ...), of some patients (b,) those of the mirrored ones."""
        found = self._latents[patients.numpy(), angles.numpy()]
        if self._mirrored is not None:
            found[mirror.numpy()] = self._mirrored[patients[mirror].numpy(), angles[mirror].numpy()]
        return torch.from_numpy(found).float()

    def _pixels(self, patients: Tensor, angles: Tensor, mirror: Tensor) -> Tensor:
        """Network values (b, 1, h, w) of patients (b,) at angles (b,), some of them mirrored (`mirror_arc`)."""
        seen_from = torch.where(mirror, len(STANDARD_ARC) - 1 - angles, angles)
        stored = self._views[patients.numpy(), seen_from.numpy()]
        stored[mirror.numpy()] = stored[mirror.numpy()][..., ::-1]
        return stored_to_network(stored)[:, None]

    def _held_out(self, patient: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        device = next(self.parameters()).device
        wanted = torch.from_numpy(self._latents[patient]).float().to(device)
        frontal = wanted[STANDARD_ARC.index(0.0)][None]
        state = self.average.observe([Observation(LatentViews(frontal), Pose(0.0), self._vision[0])])
        predicted = self.average.predict(state, as_poses(STANDARD_ARC)).values[0]
        x = stored_to_network(self._views[patient])[:, None].to(device)
        return predicted, self._vision[0].decode(predicted), x, wanted
