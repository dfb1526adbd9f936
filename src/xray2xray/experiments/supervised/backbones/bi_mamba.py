"""BI-Mamba: a bidirectional selective state-space model of a picture, in plain torch.

A picture becomes a sequence of patches, and two state-space models read it, one from each end, as BI-Mamba (Yang et
al. 2024, arXiv 2405.18533) does for cardiovascular risk. Blocks and default size are those of Vision Mamba's `small`
(Zhu et al. 2024, arXiv 2401.09417); the features are the mean over the patches, so that no class token needs a place.
One view is read, where BI-Mamba joins the patches of two.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .backbone import Backbone
from .patches import PatchEmbed, new_positions, positions_for
from .selective_scan import selective_scan

EPSILON = 1e-5
STEPS = (1e-3, 1e-1)  # between which the step sizes begin, evenly in their logarithm


@dataclass(frozen=True)
class BiMambaConfig:
    """`expand`: channels within a block for each outside; `state`: numbers that each of these remembers; `reach`:
    patches that the short convolution sees; `picture`: side in pixels for which positions are learned."""

    width: int = 384
    depth: int = 24
    expand: int = 2
    state: int = 16
    reach: int = 4
    patch: int = 16
    picture: int = 224
    channels: int = 1


class Direction(nn.Module):
    """One reader: (b, n, inner) -> the same, each place knowing those before it."""

    def __init__(self, inner: int, config: BiMambaConfig) -> None:
        super().__init__()
        self.rank, self.state = math.ceil(config.width / 16), config.state
        self.conv = nn.Conv1d(inner, inner, config.reach, groups=inner, padding=config.reach - 1)
        self.select = nn.Linear(inner, self.rank + 2 * config.state, bias=False)
        self.step = nn.Linear(self.rank, inner)
        self.log_rates = nn.Parameter(torch.arange(1.0, config.state + 1).log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        low, high = map(math.log, STEPS)
        sizes = torch.exp(low + (high - low) * torch.rand(inner))
        self.step.bias.data = sizes + torch.log(-torch.expm1(-sizes))  # whose softplus they are

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.conv(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
        small, write, read = self.select(x).split([self.rank, self.state, self.state], dim=-1)
        delta = F.softplus(self.step(small))
        return selective_scan(x, delta, -self.log_rates.exp(), write, read, self.skip)


class Block(nn.Module):
    """A pre-norm block over (b, n, width): both readers, gated by what is at the place itself."""

    def __init__(self, config: BiMambaConfig) -> None:
        super().__init__()
        inner = config.expand * config.width
        self.norm = nn.RMSNorm(config.width, EPSILON)
        self.enter = nn.Linear(config.width, 2 * inner, bias=False)
        self.forwards, self.backwards = Direction(inner, config), Direction(inner, config)
        self.leave = nn.Linear(inner, config.width, bias=False)
        self.leave.weight.data /= math.sqrt(config.depth)  # the sum of all branches begins as one

    def forward(self, x: Tensor) -> Tensor:
        inside, gate = self.enter(self.norm(x)).chunk(2, dim=-1)
        read = self.forwards(inside) + self.backwards(inside.flip(1)).flip(1)
        return x + self.leave(read.to(gate.dtype) * F.silu(gate))


class BiMamba(Backbone):
    """Patches with their places, blocks, and the mean over the patches after a norm."""

    SIZES: ClassVar = {
        "tiny": BiMambaConfig(16, 2, state=4, patch=8, picture=32),
        "small": BiMambaConfig(128, 12, state=8, picture=128),
        "paper": BiMambaConfig(),
    }
    CLASSIFIER = "head."

    def __init__(self, config: BiMambaConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.patch_embed = PatchEmbed(config.channels, config.width, config.patch)
        self.pos_embed = new_positions((config.picture // config.patch) ** 2, config.width)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.depth)))
        self.norm = nn.RMSNorm(config.width, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        patches, grid = self.patch_embed(x)
        return self.norm(self.blocks(patches + positions_for(self.pos_embed, grid))).mean(dim=1)
