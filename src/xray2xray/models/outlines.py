"""Lungs and heart on a frontal, outlined by a small U-Net (Ronneberger et al. 2015, arXiv 1505.04597)."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.errors import InputError
from ..io.model_folder import part_and_config
from .vision.normalise import to_network

PART = "outlines"
LUNGS, HEART, CLASSES = 1, 2, 3
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class OutlineConfig:
    """`widths` are the channels at a half, a quarter ... of the picture's side.

    Raises:
        ValueError: none, or widths that are no multiple of 8.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)

    def __post_init__(self) -> None:
        if not self.widths or any(width < 8 or width % 8 for width in self.widths):
            raise ValueError(f"widths must be multiples of 8, got {self.widths}")


class UNet(nn.Module):
    """Views (b, 1, h, w) in network values to logits (b, 3, h, w), on pixels folded 2 x 2."""

    def __init__(self, config: OutlineConfig = OutlineConfig()) -> None:
        super().__init__()
        self.config, widths = config, config.widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, widths[0], 3, padding=1))
        self.down = nn.ModuleList(_block(a, b, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_block(b + a, a) for a, b in pairwise(widths))
        self.out = nn.Sequential(nn.Conv2d(widths[0], 4 * CLASSES, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.stem(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        hidden = levels.pop()
        for up in reversed(self.up):
            hidden = up(torch.cat([F.interpolate(hidden, scale_factor=2.0, mode="nearest"), levels.pop()], dim=1))
        return self.out(hidden)


class Outlines:
    """Views come as line integrals p (n, n), of a radiograph those that `match_quantiles` gives it."""

    def __init__(self, network: UNet, notes: dict[str, Any] | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.notes = notes or {}

    @classmethod
    def from_pretrained(cls, folder: str | Path = "outlines") -> "Outlines":
        """The packaged network, or that of a folder that `experiments.gate.outlines` made.

        Raises:
            InputError: there is none, or a file is missing, damaged or has the wrong sha256.
        """
        lacking = "outlines; train some with python -m xray2xray.experiments.gate.outlines"
        network, config = part_and_config(folder, PART, UNet, OutlineConfig, lacking)
        return cls(network, config.get("training"))

    @torch.no_grad()
    def __call__(self, view_p: np.ndarray) -> tuple[Mask, Mask]:
        """Lungs and heart, bool (n, n) each.

        Raises:
            InputError: not square, a side that is no multiple of 16, or values that are not finite.
        """
        view_p = np.array(view_p, np.float32)
        if (
            view_p.ndim != 2
            or view_p.shape[0] != view_p.shape[1]
            or view_p.shape[0] % 16
            or not np.isfinite(view_p).all()
        ):
            raise InputError(f"outlines are drawn on square views, a multiple of 16 wide, got {view_p.shape}")
        found = self.network(to_network(torch.from_numpy(view_p))[None, None])[0].argmax(0).numpy()
        return found == LUNGS, found == HEART


@cache
def packaged() -> Outlines:
    """The packaged network, read once."""
    return Outlines.from_pretrained()


def width(mask: Mask) -> int:
    """Columns from the first to the last that the mask is in."""
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[-1] - columns[0] + 1) if len(columns) else 0


def cardiothoracic_ratio(heart: Mask, lungs: Mask) -> float:
    """Greatest width of the heart over that between the outer borders of the lungs (Danzer 1919)."""
    return width(heart) / max(width(lungs), 1)


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1),
        nn.GroupNorm(8, after),
        nn.SiLU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.GroupNorm(8, after),
        nn.SiLU(),
    )
