"""GLoRI: global and local representations integrated, CheXFound's head (Yang et al. 2025, arXiv 2502.05142).

Each disease has a query of its own, which attends to the patch tokens of a frozen encoder; what it gathers there stands
beside the class token, and one linear layer a disease reads both. Written from the paper's description.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...core.errors import InputError
from ..supervised.backbones.backbone import Backbone
from ..supervised.network import MultiTaskNetwork, SupervisedObjective
from ..supervised.supervised import SupervisedNetwork
from .encoder import Encoder

HEADS = 4


def encode(encoder: Encoder, views_p: NDArray[Any]) -> NDArray[np.float16]:
    """What `GloriHead` reads: features and then tokens, float16 (n, 1 + t, width), of line integrals (n, h, w)."""
    features, tokens = encoder.read_views(views_p)
    return np.concatenate([features[:, None], tokens], axis=1).astype(np.float16)


class EachItsOwn(nn.Module):
    """A linear layer for each answer: (b, answers, inside) -> (b, answers)."""

    def __init__(self, answers: int, inside: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(answers, inside))
        self.bias = nn.Parameter(torch.zeros(answers))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).sum(dim=-1) + self.bias


class Glori(Backbone):
    """Features and tokens (b, 1 + t, width), features first -> global and local ones of each query, (b, k, 2 width)."""

    CLASSIFIER = "heads."

    def __init__(self, width: int, queries: int) -> None:
        super().__init__()
        self.width = 2 * width
        self.heads = next(heads for heads in range(HEADS, 0, -1) if width % heads == 0)
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(queries, width))  # queries that begin alike stay so for long
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.norm_local, self.norm_global = nn.LayerNorm(width), nn.LayerNorm(width)

    def attention(self, tokens: Tensor) -> Tensor:
        """Where each query looks: (b, heads, k, t), which sums to 1 over t."""
        keys, queries = (
            each.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for each in (self.key(tokens), self.queries)
        )
        return (queries @ keys.transpose(-1, -2) / keys.shape[-1] ** 0.5).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x[:, 1:])
        values = self.value(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        local = (self.attention(tokens) @ values).transpose(1, 2).flatten(2)
        whole = self.norm_global(x[:, :1]).expand_as(local)
        return torch.cat([whole, self.norm_local(local)], dim=-1)


class GloriNetwork(MultiTaskNetwork):
    """Features and tokens (b, 1 + t, width) -> answers, as `MultiTaskNetwork`."""

    def __init__(self, width: int, answers: int, mean: float = 0.0, sd: float = 1.0) -> None:
        super().__init__(Glori(width, answers), answers, mean, sd)
        self.heads = EachItsOwn(answers, 2 * width)  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        return self.heads(self.backbone((x - self.mean) / self.sd)).float()


class GloriObjective(SupervisedObjective):
    """Frozen tokens are learned from as they are."""

    stage = "glori"

    def varied(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        return pictures


@dataclass(eq=False)
class GloriHead(SupervisedNetwork):
    """`SupervisedNetwork` on the frozen tokens of an encoder: its `images` are what `encode` makes of views.

        head = GloriHead(width=encoder.width, steps=1000).fit(encode(encoder, views_p), {"edema": edema})
        head.predict_proba(encode(encoder, unseen_p))

    Args:
        width: of the encoder's tokens.
    """

    OBJECTIVE: ClassVar = GloriObjective

    method: str = "glori"
    width: int = 0

    def _check_images(self, images: NDArray[Any]) -> None:
        shape: tuple[int, ...] = getattr(images, "shape", ())
        if len(shape) != 3 or not shape[0] or shape[1] < 2 or shape[2] != self.width:
            raise InputError(f"this head reads tokens (n, 1 + t, {self.width}), got {shape or type(images).__name__}")

    def _untrained(self, answers: int, mean: float = 0.0, sd: float = 1.0) -> MultiTaskNetwork:
        return GloriNetwork(self.width, answers, mean, sd)
