"""The objective of M's direct form: regress V's latents of other views, at the end also their pixels."""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...models.adaptation.appearance import Appearance, randomise
from ...models.transitions.direct import ARC_DEG, DirectTransition
from ...models.transitions.rollout import roll_out
from ...models.vision.vqgan import VisionModel
from ..alignment import alignment_loss
from ..objective import Batch, Objective, TrainingStopped, draw_rows, follow, require, require_shares
from ..pictures import contact_sheet
from .vision import psnr, stored_to_network

FAR_DEG = 30.0  # claims are made over the views at least this far from the input


@dataclass(frozen=True)
class DirectTraining:
    """`pixel_from`: the share of steps after which pixels count; `pixel_views`: how many of a batch are decoded.

    `mirrored`: half of the patients are shown with left and right exchanged, so that there are twice as many.
    `appearance_share`: how many of the inputs get a random appearance and are encoded anew; 0 touches no pixels.
    `alignment`: weight of `alignment_loss` between predicted and true views of a batch.
    """

    targets: int = 4
    frontal_share: float = 0.7
    average_decay: float = 0.998
    pixel_weight: float = 30.0
    pixel_from: float = 0.3
    pixel_views: int = 8
    mirrored: bool = False
    appearance_share: float = 0.0
    alignment: float = 0.0

    def __post_init__(self) -> None:
        require(1 <= self.targets <= len(ARC_DEG), f"targets must be 1 to {len(ARC_DEG)}, got {self.targets}")
        require(self.pixel_weight >= 0 and self.pixel_views >= 1, "pixels want a weight from 0 on and a view at least")
        require(self.alignment >= 0, f"alignment must be a weight from 0 on, got {self.alignment}")
        require_shares(self, "frontal_share", "average_decay", "pixel_from", "appearance_share")


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

    def prepare(self) -> None:
        """Fit the linear prior (before training; a resumed run restores it)."""
        learned = [some[: self._train] for some in (self._latents, self._mirrored) if some is not None]
        # Each patient beside its mirror image: the prior is tuned on the last ones, so that these are strangers.
        everyone = learned[0] if len(learned) == 1 else np.stack(learned, axis=1).reshape(-1, *learned[0].shape[1:])
        self.model.prior.fit(torch.from_numpy(everyone))
        self.average.prior.load_state_dict(self.model.prior.state_dict())

    def learned(self, part: str) -> nn.Module:
        return self.model

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        training = self.training_config
        frontal = ARC_DEG.index(0.0)
        patients = draw_rows(self._weight, size, generator)
        given = torch.randint(len(ARC_DEG), (size,), generator=generator)
        given[torch.rand(size, generator=generator) < training.frontal_share] = frontal
        targets = torch.rand(size, len(ARC_DEG), generator=generator).argsort(dim=1)[:, : training.targets]
        mirror = torch.zeros(size, dtype=torch.bool)
        if self._mirrored is not None:
            mirror = torch.rand(size, generator=generator) < 0.5
        arc = torch.tensor(ARC_DEG)
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
        if training.appearance_share > 0:
            looked = torch.nonzero(torch.rand(size, generator=generator) < training.appearance_share)[:, 0]
            x = self._pixels(patients[looked], given[looked], mirror[looked])
            batch |= {"looked": looked, "look": randomise(x, Appearance(), generator)}
        return batch

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        given = batch["given"]
        if "look" in batch and len(batch["look"]):
            with torch.no_grad():
                given = given.index_copy(0, batch["looked"], self._vision[0].encode(batch["look"]).to(given))
        seen = self.model.observe(given, batch["given_yaw"])
        predicted = self.model.predict(seen, batch["target_yaw"])
        loss = (predicted - batch["wanted"]).square().mean()
        # Collapse shows as predictions that no longer differ between patients (targets are aligned by nothing else).
        figures = {"latent_mse": loss.detach(), "spread": predicted.detach().std(dim=(0, 1)).mean()}
        if self.training_config.alignment > 0:
            aligned = alignment_loss(predicted, batch["wanted"])
            loss = loss + self.training_config.alignment * aligned
            figures["alignment"] = aligned.detach()
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
            far = torch.tensor([abs(yaw) >= FAR_DEG for yaw in ARC_DEG], device=x.device)
            square.append((predicted - wanted)[far].square().mean())
            decibels.append(psnr(decoded, x)[far].mean())
        return {"latent_mse": float(torch.stack(square).mean()), "psnr_beyond_30": float(torch.stack(decibels).mean())}

    def watch(self, step: int, figures: dict[str, float]) -> None:
        if step > self.patience and figures.get("spread", 1.0) < 1e-3:
            raise TrainingStopped(f"{self.stage}: all predictions are the same at step {step}; lower the rate")

    def picture(self) -> np.ndarray | None:
        """One held-out patient's truth, and what is imagined from the frontal."""
        if self._train == len(self._latents):
            return None
        _, decoded, x, _ = self._held_out(self._train)
        return contact_sheet([x[::6], decoded[::6]])

    def configuration(self) -> dict[str, Any]:
        model, training = asdict(self.model.config), asdict(self.training_config)
        for later in ("appearance_share", "mirrored", "alignment"):  # without: the recipe of checkpoints that know none
            if not training[later]:
                del training[later]
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
        seen_from = torch.where(mirror, len(ARC_DEG) - 1 - angles, angles)
        stored = self._views[patients.numpy(), seen_from.numpy()]
        stored[mirror.numpy()] = stored[mirror.numpy()][..., ::-1]
        return stored_to_network(stored)[:, None]

    def _held_out(self, patient: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        device = next(self.parameters()).device
        wanted = torch.from_numpy(self._latents[patient]).float().to(device)
        frontal = wanted[ARC_DEG.index(0.0)][None]
        predicted = roll_out(self.average, frontal, 0.0, ARC_DEG)[0]
        x = stored_to_network(self._views[patient])[:, None].to(device)
        return predicted, self._vision[0].decode(predicted), x, wanted
