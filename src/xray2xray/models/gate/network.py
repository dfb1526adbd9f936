"""The gate's network: a small picture's ranks in, log odds of what may be wrong with it out."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import InputError
from ...radiograph.picture import resized_square

ANSWERS = ("chest", "whole", "inverted", "ap")  # log odds of each; then those of the ways a picture may be turned
HALF, COMPONENTS = 2, 40  # the components are of pictures half as large
TURNS = tuple((mirrored, 90 * quarter) for mirrored in (False, True) for quarter in range(4))  # degrees anticlockwise


@dataclass(frozen=True)
class GateConfig:
    """`size` is the picture's side, `width` the channels at half of it.

    Raises:
        ValueError: a size that cannot be halved three times, or a width that is no multiple of 8.
    """

    size: int = 64
    width: int = 16

    def __post_init__(self) -> None:
        if self.size % 8 or self.size < 16 or self.width % 8 or self.width < 8:
            raise ValueError(f"size {self.size} and width {self.width} must be multiples of 8, size 16 at least")


class GateNetwork(nn.Module):
    """Pictures (b, 1, size, size) of ranks in -1..1 -> log odds (b, len(ANSWERS) + len(TURNS)).

    It also keeps principal components of the training frontals, and how much of them these leave unexplained.
    """

    mean: Tensor
    components: Tensor
    unexplained: Tensor

    def __init__(self, config: GateConfig) -> None:
        super().__init__()
        self.config = config
        one, two, four = config.width, 2 * config.width, 4 * config.width
        self.body = nn.Sequential(
            *_block(1, one, 2),
            *_block(one, two, 2),
            *_block(two, two, 1),
            *_block(two, four, 2),
            *_block(four, four, 1),
            nn.Conv2d(four, two, 1),  # the place of what is seen counts, so it is not averaged over
            nn.Flatten(),
            nn.Linear(two * (config.size // 8) ** 2, 64),
            nn.SiLU(),
        )
        self.head = nn.Linear(64, len(ANSWERS) + len(TURNS))
        pixels = (config.size // HALF) ** 2
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("components", torch.zeros(COMPONENTS, pixels))
        self.register_buffer("unexplained", torch.linspace(0, 1, 101))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    def residuals(self, x: Tensor) -> Tensor:
        """The share of each picture's variance that the components leave unexplained, (b,)."""
        centred = F.avg_pool2d(x, HALF).flatten(1) - self.mean
        rest = centred - centred @ self.components.T @ self.components
        return rest.square().mean(1) / x.var(dim=(1, 2, 3)).clamp_min(1e-6)

    def unlike(self, x: Tensor) -> tuple[float, float]:
        """One picture's share (1, 1, size, size) over the median of training frontals; how many of these are below."""
        share, known = float(self.residuals(x)[0]), self.unexplained.cpu().numpy()
        return share / max(float(known[50]), 1e-6), float(np.interp(share, known, np.linspace(0, 1, len(known))))

    def learn_frontals(self, x: Tensor, held_out: Tensor) -> None:
        """Keep the components of training frontals (n, 1, size, size), and what they leave of others."""
        small = F.avg_pool2d(x, HALF).flatten(1)
        self.mean.copy_(small.mean(0))
        self.components.copy_(torch.linalg.svd(small - self.mean, full_matrices=False).Vh[:COMPONENTS])
        self.unexplained.copy_(torch.quantile(self.residuals(held_out), torch.linspace(0, 1, 101)))


def ranks(gray: np.ndarray, size: int) -> Tensor:
    """Grey values (h, w) or (b, h, w) as ranks in -1..1, (b, 1, size, size) float32: no curve of grey values matters.

    Of 256 steps, so that plain black with a little noise is plain; equal ones get the middle of their ranks.

    Raises:
        InputError: not square, or values that are not finite.
    """
    gray = np.asarray(gray, np.float32)
    gray = gray[None] if gray.ndim == 2 else gray
    if gray.ndim != 3 or gray.shape[1] != gray.shape[2] or not np.isfinite(gray).all():
        raise InputError(f"the gate takes square pictures of finite grey values, got {gray.shape}")
    small = gray if gray.shape[1] == size else np.stack([resized_square(one, size) for one in gray])
    low, high = (end(axis=(1, 2), keepdims=True) for end in (small.min, small.max))
    steps = np.rint(255 * (small - low) / np.maximum(high - low, 1e-12)).astype(np.int64)
    counts = np.stack([np.bincount(one.ravel(), minlength=256) for one in steps])
    middles = (2 * (counts.cumsum(axis=1) - counts / 2) / size**2 - 1).astype(np.float32)
    return torch.from_numpy(middles[np.arange(len(steps))[:, None, None], steps])[:, None]


def _block(before: int, after: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(8, after), nn.SiLU()]
