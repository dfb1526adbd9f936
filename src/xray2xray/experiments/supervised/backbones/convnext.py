"""ConvNeXt (Liu et al. 2022, arXiv 2201.03545), with the names of timm's public weights."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from .backbone import Backbone, ChannelNorm, Perceptron, initialise

EPSILON = 1e-6
SMALL = 1e-6  # with which the blocks' branches begin


@dataclass(frozen=True)
class ConvNeXtConfig:
    """The published ConvNeXt-T: channels and blocks of the stages at 1/4, 1/8, 1/16 and 1/32 of the side."""

    widths: tuple[int, ...] = (96, 192, 384, 768)
    blocks: tuple[int, ...] = (3, 3, 9, 3)
    channels: int = 1


class Block(nn.Module):
    """(b, width, h, w) -> the same: each channel by itself over 7 x 7 pixels, then each pixel by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, EPSILON)
        self.mlp = Perceptron(width, 4)
        self.gamma = nn.Parameter(torch.full((width,), SMALL))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        return x + (self.gamma * hidden).permute(0, 3, 1, 2)


class Stage(nn.Module):
    """(b, before, h, w) -> (b, width, h / 2, w / 2); the first stage, which has no `before`, halves nothing."""

    def __init__(self, before: int | None, width: int, blocks: int) -> None:
        super().__init__()
        self.downsample: nn.Module = nn.Identity()
        if before is not None:
            self.downsample = nn.Sequential(ChannelNorm(before, EPSILON), nn.Conv2d(before, width, 2, stride=2))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class ConvNeXt(Backbone):
    """A stem of 4 x 4 patches, stages, the mean over what is left and a norm."""

    SIZES: ClassVar = {
        "tiny": ConvNeXtConfig((16, 32), (1, 1)),
        "small": ConvNeXtConfig((32, 64, 128, 256)),
        "paper": ConvNeXtConfig(),
    }
    CLASSIFIER = "head.fc."

    def __init__(self, config: ConvNeXtConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.widths[-1]
        first = config.widths[0]
        self.stem = nn.Sequential(nn.Conv2d(config.channels, first, 4, stride=4), ChannelNorm(first, EPSILON))
        before = (None, *config.widths[:-1])
        self.stages = nn.Sequential(*map(Stage, before, config.widths, config.blocks))
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(self.width, EPSILON)})
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head["norm"](self.stages(self.stem(x)).mean(dim=(2, 3)))
