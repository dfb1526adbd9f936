"""The objective of MAE: the pixels of the patches that the encoder did not see."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....models.vision.normalise import to_network
from ....training.objective import Batch
from ....training.pictures import contact_sheet
from ..crops import random_crops
from ..encoder import Encoder, ViTEncoder
from ..networks.mae import MaskedAutoencoder, as_patches, as_views, drawing_loss, standardised
from .objective import PretrainingObjective, spread

SCALES = (0.5, 1.0)  # of the parts; the paper begins at 0.2, where a chest would no longer be one


class MAEObjective(PretrainingObjective):
    stage = "mae"

    def __init__(self, model: MaskedAutoencoder, views: np.ndarray, patients: Sequence[str], held_out: int) -> None:
        super().__init__(views, patients, held_out)
        self.model = model

    def learned(self, part: str) -> nn.Module:
        return self.model

    def encoder(self) -> Encoder:
        return ViTEncoder(self.model.encoder, "mean")  # nothing asks its class token for anything

    def batch(self, views_p: Tensor, generator: torch.Generator) -> Batch:
        config = self.model.config
        x = random_crops(views_p[:, 0], config.encoder.picture, SCALES, generator)
        order = torch.rand(len(x), config.patches, generator=generator).argsort(dim=1)
        order[1::2] = order[: len(x) // 2 * 2 : 2]  # pairs see the same places, and only their patches tell them apart
        return {"x": to_network(x)[:, None], "order": order}

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        drawn, hidden = self.model(batch["x"], batch["order"])
        pairs = drawn[: len(drawn) // 2 * 2].detach().flatten(1).unflatten(0, (-1, 2))
        apart = torch.stack([spread(pair) for pair in pairs]).mean() if len(pairs) else drawn.new_ones(())
        return drawing_loss(drawn, hidden, batch["x"]), {"spread": apart}

    def picture(self) -> np.ndarray | None:
        """Held-out views, what the encoder sees of them, and what it makes of that, in the grey of each true patch."""
        if self._train == len(self._views):
            return None
        x, config = self._held_out(), self.model.config
        order = torch.rand(len(x), config.patches, generator=torch.Generator().manual_seed(0)).argsort(dim=1)
        drawn, hidden = self.model(x, order.to(x.device))
        patches = as_patches(x, config.encoder.patch)
        _, mean, sd = standardised(patches)
        seen = torch.where(hidden[..., None], -1.0, patches)
        filled = torch.where(hidden[..., None], drawn * sd + mean, patches)
        return contact_sheet([x, *(as_views(each, config.encoder.picture) for each in (seen, filled))])

    def agreed_settings(self) -> dict[str, Any]:
        return {"model": asdict(self.model.config)}
