"""Pictures as sequences of patches, and where each patch was."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PatchEmbed(nn.Module):
    """Pictures (b, channels, h, w) -> tokens (b, rows * columns, width) and (rows, columns).

    Sides that are no multiples of the patch are continued by their last pixels.
    """

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        down, right = -x.shape[2] % self.patch, -x.shape[3] % self.patch
        grid = self.proj(F.pad(x, (0, right, 0, down), mode="replicate") if down or right else x)
        return grid.flatten(2).transpose(1, 2), (grid.shape[2], grid.shape[3])


def positions_for(positions: Tensor, grid: tuple[int, int], antialias: bool = True, offset: float = 0.0) -> Tensor:
    """Learned positions of a square grid, (1, side * side, width), for another grid: (1, rows * columns, width).

    `antialias` and `offset` (added to rows and columns in the factor by which positions are stretched) are as DINOv2
    has them (`interpolate_antialias`, `interpolate_offset`); timm's are the defaults.
    """
    side = round(positions.shape[1] ** 0.5)
    if grid == (side, side):
        return positions
    square = positions.transpose(1, 2).unflatten(2, (side, side)).float()
    by = {"scale_factor": tuple((n + offset) / side for n in grid)} if offset else {"size": grid}
    stretched = F.interpolate(square, mode="bicubic", antialias=antialias, **by)
    return stretched.flatten(2).transpose(1, 2).to(positions.dtype)


def new_positions(tokens: int, width: int) -> nn.Parameter:
    """Positions to be learned, (1, tokens, width)."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(1, tokens, width), std=0.02))
