"""ResNet (He et al. 2016, arXiv 1512.03385), with the names of the public ImageNet weights.

A stage halves the picture in the 3 x 3 convolution of its first block, not in the 1 x 1 before it: those weights do.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from .backbone import Backbone

EXPANSION = 4  # channels that leave a block, for each within


@dataclass(frozen=True)
class ResNetConfig:
    """The published ResNet-50. `width`: channels of the stem; each stage has twice those of the one before."""

    width: int = 64
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    channels: int = 1


class Bottleneck(nn.Module):
    """(b, before, h, w) -> (b, 4 inner, h / stride, w / stride)."""

    def __init__(self, before: int, inner: int, stride: int) -> None:
        super().__init__()
        after = EXPANSION * inner
        self.conv1 = nn.Conv2d(before, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        nn.init.zeros_(self.bn3.weight)  # each block begins as its shortcut (Goyal et al. 2017, arXiv 1706.02677)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.bn1(self.conv1(x)).relu()
        hidden = self.bn2(self.conv2(hidden)).relu()
        return (self.bn3(self.conv3(hidden)) + self.downsample(x)).relu()


class ResNet(Backbone):
    """A stem that quarters the picture, stages of bottlenecks, the mean over what is left."""

    SIZES: ClassVar = {"tiny": ResNetConfig(8, (1, 1, 1)), "small": ResNetConfig(16), "paper": ResNetConfig()}
    CLASSIFIER = "fc."

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(config.channels, config.width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = [f"layer{i + 1}" for i in range(len(config.blocks))]
        self.width = config.width
        for i, (name, blocks) in enumerate(zip(self.stages, config.blocks, strict=True)):
            inner, stage = config.width * 2**i, nn.Sequential()
            for j in range(blocks):
                stage.append(Bottleneck(self.width, inner, stride=2 if i and not j else 1))
                self.width = EXPANSION * inner
            self.add_module(name, stage)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return x.mean(dim=(2, 3))
