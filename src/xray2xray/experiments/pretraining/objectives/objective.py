"""What all self-supervised objectives share: where their views come from, how they are looked at, when they stop."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ....data.store import SCALE
from ....models.vision.normalise import to_network
from ....projection.geometry import STANDARD_ARC
from ....training.objective import Batch, Objective, TrainingStopped
from ....training.pictures import WINDOW, contact_sheet
from ..encoder import Encoder

COLLAPSED = 0.01  # spread below which all views look alike to the network; untrained ones are far above
ANGLES = STANDARD_ARC.index(0.0), STANDARD_ARC.index(30.0)  # between which held-out patients are found again
SHOWN = 6  # held-out views in a picture


class PretrainingObjective(Objective):
    """`views` are uint16 (studies, 37, h, w) as stored, `patients` says whose each study is; the last `held_out`
    studies are only looked at. Angles are never told to the network. A batch counts patients."""

    def __init__(self, views: np.ndarray, patients: Sequence[str], held_out: int) -> None:
        super().__init__()
        self._views, self._train = views, len(views) - held_out
        _, owner = np.unique(np.asarray(patients[: self._train]), return_inverse=True)
        self._studies_of = [np.flatnonzero(owner == patient) for patient in range(owner.max() + 1)]

    def encoder(self) -> Encoder:
        """What is kept of the training; its parameters are the objective's own."""
        raise NotImplementedError

    def batch(self, views_p: Tensor, generator: torch.Generator) -> Batch:
        """A batch of line integrals (patients, `views`, h, w)."""
        raise NotImplementedError

    def agreed_settings(self) -> dict[str, Any]:
        """What, beside the data, a checkpoint must agree with: JSON types only."""
        raise NotImplementedError

    def configuration(self) -> dict[str, Any]:
        sample = self._views[:: max(1, len(self._views) // 64), ANGLES[0], ::4, ::4]
        digest = hashlib.sha256(np.ascontiguousarray(sample).tobytes()).hexdigest()
        return {**self.agreed_settings(), "stage": self.stage, "patients": self._train, "data": digest}

    @property
    def views_of_each(self) -> int:
        """How many views of a patient a batch holds."""
        return 1

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        size = min(size, len(self._studies_of))  # nobody is in a batch twice: he would be told apart from himself
        chosen = torch.randperm(len(self._studies_of), generator=generator)[:size]
        which = torch.rand(size, generator=generator)
        studies = [self._studies_of[patient] for patient in chosen.tolist()]
        rows = np.array([found[int(share * len(found))] for found, share in zip(studies, which.tolist(), strict=True)])
        return self.batch(self._read(rows, generator), generator)

    def validate(self) -> dict[str, float]:
        """The loss of held-out patients, and how often one of them, seen from 30 degrees, is nearest to himself."""
        rows = np.arange(self._train, len(self._views))
        if len(rows) < 2:
            return {}
        generator = torch.Generator().manual_seed(0)
        device = next(self.parameters()).device
        batch = {name: t.to(device) for name, t in self.batch(self._read(rows, generator), generator).items()}
        loss, _ = self(batch, "model", 1.0)
        frontal, turned = (self.encoder().features(self._views[rows, angle] / SCALE) for angle in ANGLES)
        return {"loss": float(loss), "same_patient": found_again(frontal, turned)}

    def watch(self, step: int, figures: dict[str, float]) -> None:
        if figures.get("spread", 1.0) < COLLAPSED:
            raise TrainingStopped(
                f"{self.stage}: all views have the same features at step {step} (spread {figures['spread']:.2g});"
                " lower the rate"
            )

    def picture(self) -> np.ndarray | None:
        """Held-out views, and the first principal component of their tokens: do like places look alike?"""
        if self._train == len(self._views):
            return None
        x = self._held_out()
        tokens = self.encoder().read(x)[1].float()
        side = round(tokens.shape[1] ** 0.5)
        flat = tokens.flatten(0, 1)
        component = (flat - flat.mean(dim=0)) @ torch.pca_lowrank(flat, 1, niter=4)[2]
        low, high = component.quantile(0.02), component.quantile(0.98)
        grey = ((component - low) / (high - low).clamp_min(1e-6)).clamp(0, 1).view(-1, 1, side, side)
        return contact_sheet([x, to_network(WINDOW * F.interpolate(grey, x.shape[2:]))])

    def _held_out(self) -> Tensor:
        """Network values (SHOWN, 1, h, w) of the first held-out patient, from all around."""
        angles = np.linspace(0, self._views.shape[1] - 1, SHOWN).astype(int)
        x = to_network(_line_integrals(self._views[self._train, angles]))
        return x[:, None].to(next(self.parameters()).device)

    def _read(self, rows: np.ndarray, generator: torch.Generator) -> Tensor:
        """Line integrals (studies, views, h, w), of different random angles of each."""
        order = torch.rand(len(rows), self._views.shape[1], generator=generator).argsort(dim=1)
        return _line_integrals(self._views[rows[:, None], order[:, : self.views_of_each].numpy()])


def spread(features: Tensor) -> Tensor:
    """How much the directions of features (b, d) differ: 0 where all are one, about 1 where they are random."""
    directions = F.normalize(features.detach().float(), dim=-1)
    return directions.std(dim=0).square().sum().sqrt()


def found_again(first: Any, second: Any) -> float:
    """The share of rows of `first` (n, d) to which, by cosine, the same row of `second` is nearest."""
    first, second = (F.normalize(torch.as_tensor(each), dim=-1) for each in (first, second))
    return float(((first @ second.T).argmax(dim=1) == torch.arange(len(first))).float().mean())


def _line_integrals(stored: np.ndarray) -> Tensor:
    return torch.from_numpy(stored.astype(np.float32) / SCALE)
