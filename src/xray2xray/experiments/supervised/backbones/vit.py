"""Vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929), with the names of timm's public weights.

With a layer scale, registers and gated perceptrons it is the network of DINOv2 (Oquab et al. 2023; Darcet et al. 2023).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .backbone import Backbone, Perceptron, Scale, initialise
from .patches import PatchEmbed, new_positions, positions_for

EPSILON = 1e-6


@dataclass(frozen=True)
class ViTConfig:
    """The published ViT-B/16. `picture`: side in pixels for which positions are learned; other sizes stretch them.
    `layer_scale`: with what the branches begin; None has none. `registers`: further tokens, which have no place.
    `gated`: perceptrons are SwiGLU, two thirds as wide as `mlp_ratio` says. `antialias`, `offset`: `positions_for`."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    patch: int = 16
    picture: int = 224
    mlp_ratio: float = 4
    layer_scale: float | None = None
    registers: int = 0
    channels: int = 1
    gated: bool = False
    antialias: bool = True
    offset: float = 0.0


class Attention(nn.Module):
    """Multi-head self-attention over (b, n, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2))


class SwiGLU(nn.Module):
    """A gated perceptron over the last axis (Shazeer 2020, arXiv 2002.05202), as wide inside as DINOv2 has it."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        inside = (int(int(width * ratio) * 2 / 3) + 7) // 8 * 8
        self.fc1 = nn.Linear(width, 2 * inside)
        self.fc2 = nn.Linear(inside, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, hidden = self.fc1(x).chunk(2, dim=-1)
        return self.fc2(F.silu(gate) * hidden)


class Block(nn.Module):
    """A pre-norm block over (b, n, width)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width, start = config.width, config.layer_scale
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = Attention(width, config.heads)
        self.ls1 = nn.Identity() if start is None else Scale(width, start)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = (SwiGLU if config.gated else Perceptron)(width, config.mlp_ratio)
        self.ls2 = nn.Identity() if start is None else Scale(width, start)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class VisionTransformer(Backbone):
    """Patches with their places and a class token, blocks, and the class token after a norm."""

    SIZES: ClassVar = {
        "tiny": ViTConfig(32, 2, 2, patch=8, picture=32),
        "small": ViTConfig(192, 6, 3, picture=128),
        "paper": ViTConfig(),
    }
    CLASSIFIER = "head."

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.patch_embed = PatchEmbed(config.channels, config.width, config.patch)
        self.cls_token = nn.Parameter(torch.full((1, 1, config.width), 1e-6))
        self.pos_embed = new_positions(
            1 + (config.picture // config.patch) ** 2, config.width
        )  # the class token's first
        if config.registers:
            self.reg_token = new_positions(config.registers, config.width)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width, EPSILON)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(*self.patch_embed(x))[:, 0]

    def places(self, grid: tuple[int, int]) -> Tensor:
        """Where the patches of a grid are, (1, rows * columns, width)."""
        return positions_for(self.pos_embed[:, 1:], grid, self.config.antialias, self.config.offset)

    def read(self, patches: Tensor, grid: tuple[int, int], seen: Tensor | None = None) -> Tensor:
        """Patches (b, n, width) without their places -> tokens (b, 1 + registers + n, width) after the norm.

        Only patches `seen` (b, m), numbers of places, are read if they are given; then n is m.
        """
        patches = patches + self.places(grid)
        if seen is not None:
            patches = patches.gather(1, seen[..., None].expand(-1, -1, self.width))
        first = [self.cls_token + self.pos_embed[:, :1]] + ([self.reg_token] if self.config.registers else [])
        tokens = torch.cat([*(token.expand(len(patches), -1, -1) for token in first), patches], dim=1)
        return self.norm(self.blocks(tokens))
