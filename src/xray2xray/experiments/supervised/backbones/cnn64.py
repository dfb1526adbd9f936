"""A plain small convolutional network for pictures of 64 x 64 pixels: what a few labels teach without any weights."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from .backbone import Backbone

SIDE = 64


@dataclass(frozen=True)
class CNN64Config:
    """0.29 million weights. `widths`: channels of the stages, each of which halves the picture."""

    widths: tuple[int, ...] = (16, 32, 64, 128)
    channels: int = 1


def trunk(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """(n, channels, h, w) -> (n, widths[-1]): stages of two 3 x 3 convolutions, then the mean over what is left."""
    layers: list[nn.Module] = []
    for before, after in pairwise((channels, *widths)):
        for inputs, stride in ((before, 2), (after, 1)):
            layers += [nn.Conv2d(inputs, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class CNN64(Backbone):
    """Pictures averaged to 64 x 64 pixels, stages of convolutions, the mean over what is left."""

    SIZES: ClassVar = {"tiny": CNN64Config((8, 16)), "small": CNN64Config(), "paper": CNN64Config()}
    CLASSIFIER = "head."

    def __init__(self, config: CNN64Config) -> None:
        super().__init__()
        self.config, self.width = config, config.widths[-1]
        self.trunk = trunk(config.channels, config.widths)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.trunk(F.adaptive_avg_pool2d(x, SIDE))
        return features
