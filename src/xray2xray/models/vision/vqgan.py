"""The VQ-GAN's encoder and decoder (Esser et al. 2021, arXiv 2012.09841), laid out for a CPU.

Nearly all of the work happens at a quarter of the resolution or less: the picture is first folded 4 x 4 into channels
(pixel-unshuffle), and unfolded again at the end, where a last convolution at full resolution smooths the seams.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .codebook import Codebook, on_sphere

FOLD = 4  # pixels per side that the stem folds into channels


@dataclass(frozen=True)
class VisionConfig:
    """`widths` holds the channels at 1/4, 1/8, ... of the picture's side; the last is the token grid's."""

    size: int = 128
    widths: tuple[int, ...] = (64, 128, 160)
    blocks: tuple[int, ...] = (1, 1, 2)
    head_width: int = 16
    latent_dim: int = 32
    codebook_size: int = 2048

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"widths {self.widths} and blocks {self.blocks} must be equally long")
        if self.size % (FOLD * 2 ** (len(self.widths) - 1)):
            raise ValueError(f"size {self.size} does not divide into a grid with {len(self.widths)} levels")

    @property
    def grid(self) -> int:
        """Tokens per side."""
        return self.size // (FOLD * 2 ** (len(self.widths) - 1))

    @property
    def tokens(self) -> int:
        """Tokens per view."""
        return self.grid**2


class Block(nn.Module):
    """Pre-activation residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)  # each block begins as the identity: deep stacks train from the first step

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(hidden)))


class Upsample(nn.Module):
    """Twice the side: nearest neighbour and a convolution, which leaves no checkerboard."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _encoder(config: VisionConfig) -> nn.Sequential:
    widths = config.widths
    layers: list[nn.Module] = [nn.PixelUnshuffle(FOLD), nn.Conv2d(FOLD**2, widths[0], 3, padding=1)]
    for level, (width, blocks) in enumerate(zip(widths, config.blocks, strict=True)):
        if level:
            layers.append(nn.Conv2d(widths[level - 1], width, 3, stride=2, padding=1))
        layers += [Block(width) for _ in range(blocks)]
    layers += [nn.GroupNorm(8, widths[-1]), nn.SiLU(), nn.Conv2d(widths[-1], config.latent_dim, 1)]
    return nn.Sequential(*layers)


def _decoder(config: VisionConfig) -> nn.Sequential:
    widths = config.widths[::-1]
    layers: list[nn.Module] = [nn.Conv2d(config.latent_dim, widths[0], 3, padding=1)]
    for level, (width, blocks) in enumerate(zip(widths, config.blocks[::-1], strict=True)):
        if level:
            layers.append(Upsample(widths[level - 1], width))
        layers += [Block(width) for _ in range(blocks)]
    head, seam = config.head_width, 4
    layers += [nn.GroupNorm(8, widths[-1]), nn.SiLU(), nn.Conv2d(widths[-1], 4 * head, 3, padding=1)]
    layers += [nn.PixelShuffle(2), nn.SiLU(), nn.Conv2d(head, 4 * seam, 3, padding=1)]
    layers += [nn.PixelShuffle(2), nn.Conv2d(seam, 1, 5, padding=2)]
    return nn.Sequential(*layers)


class VisionModel(nn.Module):
    """View (b, 1, size, size) in network values <-> latents (b, grid * grid, C) of length sqrt(C) <-> tokens.

    Latents run over the grid row by row from the top left, as text is read.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.codebook = Codebook(config.codebook_size, config.latent_dim)
        self.decoder = _decoder(config)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half again as fast on a CPU

    def encode(self, x: Tensor) -> Tensor:
        """Latents (b, n, C), not quantised."""
        grid = self.encoder(x.contiguous(memory_format=torch.channels_last))
        return on_sphere(grid.flatten(2).transpose(1, 2))

    def tokens(self, latents: Tensor) -> Tensor:
        """The codebook's nearest entries: (b, n, C) -> (b, n) int64."""
        return self.codebook.tokens(latents)

    def decode(self, latents: Tensor) -> Tensor:
        """Views (b, 1, size, size) from latents (b, n, C), quantised or not."""
        side = self.config.grid
        grid = latents.transpose(1, 2).unflatten(2, (side, side))
        return self.decoder(grid.contiguous(memory_format=torch.channels_last)).float()

    def decode_tokens(self, tokens: Tensor) -> Tensor:
        """Views (b, 1, size, size) from tokens (b, n)."""
        return self.decode(self.codebook.lookup(tokens))

    def forward(self, x: Tensor, quantise: bool = True) -> Tensor:
        """Reconstruction of x through the latents, or through the tokens."""
        latents = self.encode(x)
        return self.decode_tokens(self.tokens(latents)) if quantise else self.decode(latents)
