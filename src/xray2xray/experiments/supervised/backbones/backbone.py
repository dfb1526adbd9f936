"""What every supervised baseline is: a network that turns pictures of any size into features."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """Pictures (b, channels, h, w) -> features (b, width), by `forward`.

    Nothing in a backbone is random while it trains (no dropout, no dropped paths), so training resumes exactly.

    Attributes:
        SIZES: configurations by name: `paper` is the published network, `small` one of 1.5 to 3.2 million parameters
            that a CPU trains to its end, `tiny` one for tests.
        CLASSIFIER: how the parameters of the published classifier, which a backbone lacks, begin.
        config: a frozen dataclass, one of `SIZES` or the caller's own.
        width: of the features.
    """

    SIZES: ClassVar[dict[str, Any]]
    CLASSIFIER: ClassVar[str]
    config: Any
    width: int


def parameters_of(module: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(p.numel() for p in module.parameters())


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of (b, c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Scale(nn.Module):
    """A learned factor for each of the last axis's channels (Touvron et al. 2021, arXiv 2103.17239)."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Perceptron(nn.Module):
    """Two linear layers and a GELU, over the last axis."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        hidden = int(width * ratio)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


def initialise(module: nn.Module) -> None:
    """Truncated normal weights (SD 0.02) and zero biases for all linear layers and convolutions."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
