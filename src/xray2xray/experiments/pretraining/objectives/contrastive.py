"""The objective of the contrastive control: views of one patient, at any angles, against those of the others."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....models.vision.normalise import to_network
from ....training.objective import Batch
from ..crops import random_crops
from ..encoder import Encoder, ViTEncoder
from ..networks.contrastive import ContrastiveNetwork, info_nce
from .objective import PretrainingObjective, spread

SCALES = (0.6, 1.0)  # of the parts: without them the patient is known by his height in the picture


class ContrastiveObjective(PretrainingObjective):
    stage = "contrastive"

    def __init__(self, model: ContrastiveNetwork, views: np.ndarray, patients: Sequence[str], held_out: int) -> None:
        super().__init__(views, patients, held_out)
        self.model = model

    def learned(self, part: str) -> nn.Module:
        return self.model

    def encoder(self) -> Encoder:
        return ViTEncoder(self.model.encoder, "class")

    @property
    def views_of_each(self) -> int:
        return self.model.config.views

    def batch(self, views_p: Tensor, generator: torch.Generator) -> Batch:
        x = random_crops(views_p.flatten(0, 1), self.model.config.encoder.picture, SCALES, generator)
        return {
            "x": to_network(x)[:, None],
            "patients": torch.arange(len(views_p)).repeat_interleave(views_p.shape[1]),
        }

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        _, embeddings = self.model(batch["x"])
        loss = info_nce(embeddings, batch["patients"], self.model.config.temperature)
        return loss, {"spread": spread(embeddings)}

    def agreed_settings(self) -> dict[str, Any]:
        return {"model": asdict(self.model.config)}
