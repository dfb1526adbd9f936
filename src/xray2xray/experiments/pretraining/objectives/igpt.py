"""The objective of iGPT: the next token of a single view, by cross-entropy."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ....models.transitions.blocks import embed_codebook
from ....models.vision.vqgan import VisionModel
from ....training.objective import Batch
from ....training.pictures import contact_sheet
from ..encoder import Encoder, TokenEncoder
from ..networks.igpt import ImageGPT
from .objective import PretrainingObjective, spread


class ImageGPTObjective(PretrainingObjective):
    """V's tokens of the views are cached, (studies, 37, n); V itself is frozen."""

    stage = "igpt"

    def __init__(
        self,
        model: ImageGPT,
        vision: VisionModel,
        tokens: np.ndarray,
        views: np.ndarray,
        patients: Sequence[str],
        held_out: int,
    ) -> None:
        super().__init__(views, patients, held_out)
        embed_codebook(model.embed, vision.codebook.entries)
        self.model = model
        self._vision = (vision.eval().requires_grad_(False),)  # in a tuple: frozen, so no part of this stage's state
        self._tokens = tokens

    def learned(self, part: str) -> nn.Module:
        return self.model

    def encoder(self) -> Encoder:
        return TokenEncoder(self._vision[0], self.model)

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        middle, logits = self.model.read(batch["tokens"])
        loss = F.cross_entropy(logits.flatten(0, 1), batch["tokens"].flatten())
        accuracy = (logits.detach().argmax(dim=-1) == batch["tokens"]).float().mean()
        return loss, {"accuracy": accuracy, "spread": spread(middle.mean(dim=1))}

    def picture(self) -> np.ndarray | None:
        """Held-out views, V's reconstruction, and their upper halves continued."""
        if self._train == len(self._views):
            return None
        x, vision = self._held_out(), self._vision[0]
        tokens = vision.tokens(vision.encode(x))
        continued = self.model.complete(tokens, self.model.config.tokens // 2)
        return contact_sheet([x, vision.decode_tokens(tokens), vision.decode_tokens(continued)])

    def agreed_settings(self) -> dict[str, Any]:
        return {"model": asdict(self.model.config)}

    def _read(self, rows: np.ndarray, generator: torch.Generator) -> Tensor:
        order = torch.randint(self._tokens.shape[1], (len(rows),), generator=generator).numpy()
        return torch.from_numpy(self._tokens[rows, order]).long()

    def batch(self, views_p: Tensor, generator: torch.Generator) -> Batch:
        return {"tokens": views_p}
