"""The generator of the CycleGAN (Zhu et al. 2017, arXiv 1703.10593), laid out for a CPU.

As V's encoder it works on pixels folded 4 x 4 into channels, where a block costs a sixteenth; dilated convolutions give
it back the reach, so that it can see where a scan would end. It thins out the picture and adds to it instead of
painting a new one, and begins at neither: what it does not change stays where it is, sharp. Thinning is a factor on the
line integral, for beside a scan there is air, whatever a film shows there.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .appearance import AIR

FOLD = 4


@dataclass(frozen=True)
class AdapterConfig:
    """`size` is the picture's side, `width` the channels at a quarter of it; one block for each dilation."""

    size: int = 128
    width: int = 48
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1)

    def __post_init__(self) -> None:
        if self.size % FOLD or self.width % 8:
            raise ValueError(f"size {self.size} must be a multiple of {FOLD}, width {self.width} of 8")
        if any(not 1 <= dilation <= self.size for dilation in self.dilations):
            raise ValueError(f"dilations {self.dilations} must be from 1 to the size, {self.size}")


class Block(nn.Module):
    """Pre-activation residual block, at first the identity."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class Generator(nn.Module):
    """Pictures (b, 1, size, size) of one domain to the other, both in network values; untrained, the identity."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.config = config
        half = config.width // 2
        self.body = nn.Sequential(
            nn.PixelUnshuffle(FOLD),
            nn.Conv2d(FOLD**2, config.width, 3, padding=1),
            *(Block(config.width, dilation) for dilation in config.dilations),
            nn.GroupNorm(8, config.width),
            nn.SiLU(),
            # Enlarged smoothly: unfolded, the change had a grid of 4 pixels that the critics did not mind.
            nn.Upsample(scale_factor=2.0, mode="bilinear"),
            nn.Conv2d(config.width, half, 3, padding=1),
            nn.SiLU(),
        )
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="bilinear")
        self.gate = nn.Conv2d(half, 1, 3, padding=1)
        self.last = nn.Conv2d(half + 1, 1, 5, padding=2)  # sees the picture, too
        for layer in (self.gate, self.last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.body(x)
        factor = 2 * torch.sigmoid(self.enlarge(self.gate(hidden)).float())
        change = self.last(torch.cat([self.enlarge(hidden), x], dim=1)).float()
        return factor * (x - AIR) + AIR + change
