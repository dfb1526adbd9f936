"""iGPT (Chen et al. 2020, Generative Pretraining from Pixels): a GPT that reads one view's tokens, top left first.

The paper's tokens are clustered colours of a small picture; these are V's. No action and no second view: what it knows
of a chest, it knows from single views.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ....models.transitions.blocks import CausalBlock, initialise, initialise_gpt


@dataclass(frozen=True)
class ImageGPTConfig:
    tokens: int = 64
    codebook_size: int = 2048
    dim: int = 256
    heads: int = 8
    layers: int = 6


class ImageGPT(nn.Module):
    """Tokens (b, n) of a view -> logits (b, n, K) of each, given those before it."""

    def __init__(self, config: ImageGPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.codebook_size, config.dim)
        self.start = nn.Parameter(torch.randn(1, 1, config.dim) * 0.02)
        self.place = nn.Parameter(torch.randn(config.tokens, config.dim) * 0.02)
        self.blocks = nn.ModuleList(CausalBlock(config.dim, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        initialise(self)
        initialise_gpt(self.blocks)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(tokens)[1]

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states half way up, as `middle`, and logits, as `forward`."""
        half = self._through(self._begin(tokens), 0, self.config.layers // 2)
        last = self._through(half, self.config.layers // 2, self.config.layers)
        return self._normed(half), F.linear(self.norm(last), self.embed.weight).float()

    def middle(self, tokens: Tensor) -> Tensor:
        """Hidden states (b, n, dim) half way up, each layer-normed: where the paper's probes read best."""
        return self._normed(self._through(self._begin(tokens), 0, self.config.layers // 2))

    @torch.no_grad()
    def complete(self, tokens: Tensor, given: int) -> Tensor:
        """The first `given` of tokens (b, n) kept, all others written greedily."""
        tokens = tokens.clone()
        for place in range(given, self.config.tokens):
            tokens[:, place] = self(tokens)[:, place].argmax(dim=-1)
        return tokens

    def _begin(self, tokens: Tensor) -> Tensor:
        """What stands at each place: the token before it."""
        return torch.cat([self.start.expand(len(tokens), -1, -1), self.embed(tokens[:, :-1])], dim=1) + self.place

    def _through(self, hidden: Tensor, first: int, last: int) -> Tensor:
        for block in self.blocks[first:last]:
            hidden = block(hidden)
        return hidden

    def _normed(self, hidden: Tensor) -> Tensor:
        return F.layer_norm(hidden, (self.config.dim,))
