"""What a kernel leaves open, row by row: a small convolutional network along the body axis, shared by all heights."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.transitions.blocks import angle_features

HARMONICS = 3


class RowBlock(nn.Module):
    """Residual block over (n, dim, rows): neighbouring rows by a convolution, all rows by their mean."""

    def __init__(self, dim: int, reach: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, dim)
        self.near = nn.Conv1d(dim, dim, 2 * reach + 1, padding=reach)
        self.whole = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Conv1d(dim, dim, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.silu(self.near(self.norm(x)))
        hidden = hidden + self.whole(hidden.mean(dim=2))[:, :, None]
        return x + self.out(self.dropout(F.silu(hidden)))


class RowResidual(nn.Module):
    """Features (n, channels, rows) of a given view, and target angles (n,) -> a correction (n, rows, columns)."""

    def __init__(self, channels: int, rows: int, columns: int, dim: int = 96, blocks: int = 2) -> None:
        super().__init__()
        self.dropped_in = nn.Dropout(0.1)
        self.embed = nn.Conv1d(channels, dim, 1)
        self.place = nn.Parameter(torch.randn(dim, rows) * 0.02)
        self.turn = nn.Linear(2 * HARMONICS, dim)
        self.blocks = nn.Sequential(*(RowBlock(dim, 2, 0.3) for _ in range(blocks)))
        self.dropped_out = nn.Dropout(0.3)
        self.out = nn.Conv1d(dim, columns, 1)
        nn.init.zeros_(self.out.weight)  # the kernel's answer is where learning starts
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, yaw_deg: Tensor) -> Tensor:
        turned = self.turn(angle_features(yaw_deg, HARMONICS))[:, :, None]
        hidden = self.blocks(self.embed(self.dropped_in(features)) + self.place + turned)
        return self.out(self.dropped_out(F.silu(hidden))).transpose(1, 2)
