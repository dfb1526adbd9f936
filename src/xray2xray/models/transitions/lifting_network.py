"""The lifting network: from one frontal to how each ray's attenuation is distributed along it.

A residual on the cohort's mean: its output is added to the logarithm of the mean depth distribution, and of the mean
line integrals where the detector ends. Trained by `objective.py`, its answer is the conditional mean of
the volume given the view. Convolutions are of two dimensions, planes are channels, with attention at the coarsest grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import InputError
from ...projection.frustum import Frustum
from ...projection.lifted import Lifted, extended

PATCH = 2  # pixels along the side of a cell of the lifted state
P_SCALE = 3.0  # a middle line integral; network values are p / 3 - 1
FLOOR = 1e-6  # of a mean: what no patient of the cohort has in a cell stays unlikely, not impossible


@dataclass(frozen=True)
class LiftingConfig:
    """Sizes of the network.

    Attributes:
        size: pixels along the side of the view, a multiple of 16.
        depth: planes of the lifted state.
        half_depth_mm: see `frustum.Frustum`.
        widths: channels on the grid of cells and on three coarser ones.
        heads: of the attention.
    """

    size: int = 128
    depth: int = 64
    half_depth_mm: float = 190.0
    widths: tuple[int, int, int, int] = (48, 96, 160, 256)
    heads: int = 4

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the lifted state, with what lies beyond the detector; see `frustum.Frustum`."""
        side = self.size // PATCH
        return side + 2 * (side // 8), side + 2 * (side // 4)


class LiftingNetwork(nn.Module):
    """Views (b, 1, h, w) of line integrals to the logarithm of a state (b, depth, rows, columns); see `portions`.

    Attributes:
        mean: (depth, rows, columns), the cohort's mean line integral in each cell; see `set_mean`.
    """

    mean: Tensor

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__()
        self.config = config
        rows, columns = config.cells
        fine, middle, coarse, last = config.widths
        self.register_buffer("mean", torch.full((config.depth, rows, columns), 1 / config.depth))
        self.stem = nn.Conv2d(PATCH**2 + 3, fine, 3, padding=1)
        self.down = nn.ModuleList([Residual(fine, fine), Down(fine, middle), Down(middle, coarse), Down(coarse, last)])
        self.bottom = nn.Sequential(Attention(last, config.heads), Residual(last, last), Attention(last, config.heads))
        self.up = nn.ModuleList(
            [Residual(last + coarse, coarse), Residual(coarse + middle, middle), Residual(middle + fine, fine)]
        )
        self.out = nn.Conv2d(fine, config.depth + 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def set_mean(self, portions: Tensor) -> None:
        """The cohort's mean of `true_portions`, (depth, rows, columns), which an untrained network answers with."""
        self.mean.copy_(portions)

    def forward(self, view_p: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the depth distribution (b, depth, rows, columns), and the logarithm of p (b, rows, columns)."""
        return self.decode(self.encode(view_p))

    def decode(self, states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The answer of `forward`, from what `encode` gives."""
        *skips, x = states
        for stage in self.up:
            skip = skips.pop()
            x = stage(torch.cat([F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip], dim=1))
        x = self.out(x).float()
        mean = self.mean + FLOOR
        total = mean.sum(dim=0)
        return x[:, :-1] + (mean / total).log(), x[:, -1] + total.log()

    def encode(self, view_p: Tensor) -> list[Tensor]:
        """Hidden states (b, c, rows, columns) on grids of 1, 2, 4 and 8 cells, the last after attention."""
        *finer, coarsest = self._contracted(view_p)
        return [*finer, self.bottom(coarsest)]

    def coarsest(self, view_p: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states (b, c, rows, columns) of the coarsest grid, before attention and after."""
        x = self._contracted(view_p)[-1]
        return x, self.bottom(x)

    def read(self, view_p: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """As `coarsest`, and the depth distribution of `lift`, in one pass."""
        *finer, x = self._contracted(view_p)
        after = self.bottom(x)
        return (x, after), self.decode([*finer, after])[0].softmax(dim=1)

    def _contracted(self, view_p: Tensor) -> list[Tensor]:
        """As `encode`, before attention."""
        x = self.stem(self.canvas(view_p))
        return [x := stage(x) for stage in self.down]

    def canvas(self, view_p: Tensor) -> Tensor:
        """(b, 7, rows, columns): the pixels of each cell, whether the detector measured it, and where it lies."""
        rows, columns = self.config.cells
        side = self.config.size // PATCH
        top, left = (rows - side) // 2, (columns - side) // 2
        cells = F.pixel_unshuffle(view_p / P_SCALE - 1, PATCH)
        measured = torch.ones_like(cells[:, :1])
        given = F.pad(torch.cat([cells, measured], dim=1), (left, left, top, top))
        down = torch.linspace(-1, 1, rows, device=view_p.device)[:, None].expand(rows, columns)
        across = torch.linspace(-1, 1, columns, device=view_p.device).expand(rows, columns)
        place = torch.stack([down, across]).to(given.dtype).expand(given.shape[0], -1, -1, -1)
        return torch.cat([given, place], dim=1)

    @torch.no_grad()
    def lift(self, view_p: Tensor, mirrored: bool = False) -> tuple[Tensor, Tensor]:
        """`distribution` without gradients."""
        return self.distribution(view_p, mirrored)

    def distribution(self, view_p: Tensor, mirrored: bool = False) -> tuple[Tensor, Tensor]:
        """Depth distribution (b, depth, rows, columns), sum one, and p (b, rows, columns) of views (b, 1, h, w).

        `mirrored`: the mean with the answer to the mirror image, mirrored back; twice the time.
        """
        logits, log_p = self(view_p)
        w, p = logits.softmax(dim=1), log_p.exp()
        if mirrored:
            w_turned, p_turned = (x.flip(-1) for x in self.distribution(view_p.flip(-1)))
            w, p = (w + w_turned) / 2, (p + p_turned) / 2
        return w, p


@torch.no_grad()
def lifted(network: LiftingNetwork, view_p: np.ndarray, frustum: Frustum, mirrored: bool = True) -> Lifted:
    """The mean state of one view (size, size), of the network's size or a multiple of it.

    A view from the front (yaw about 180 degrees) is given to the network as the mirror image, which is how the chest
    would look from behind but for magnification; its planes are those of the same distance beyond the isocentre.

    Raises:
        InputError: a view of another size, or values that are not finite.
    """
    size, config = frustum.geometry.size, network.config
    if view_p.shape != (size, size) or size % config.size or not np.isfinite(view_p).all():
        raise InputError(
            f"a view to be lifted is finite and {size} x {size} pixels, a multiple of {config.size}; got {view_p.shape}"
        )
    device = next(network.parameters()).device
    from_front = np.cos(np.radians(frustum.pose.yaw_deg)) < 0
    view = F.avg_pool2d(torch.from_numpy(np.array(view_p, np.float32))[None, None].to(device), size // config.size)
    w, p = (x[0].cpu() for x in network.lift(view.flip(-1) if from_front else view, mirrored))
    if from_front:
        w, p = _turned_round(w.flip(-1), frustum), p.flip(-1)
    return Lifted(frustum, extended(view_p, frustum, p.numpy()), w.numpy())


def _turned_round(w: Tensor, frustum: Frustum) -> Tensor:
    """Shares of planes (depth, rows, columns) of a view from behind, as planes of one from the front.

    Planes are even in 1 / s, not in mm: each takes the density that lies as far on the other side of the isocentre.
    """
    if frustum.geometry.beam == "parallel":
        return w.flip(0)
    mm = frustum.geometry.sdd_mm * frustum.h - frustum.geometry.sod_mm  # of each plane, beyond the isocentre
    thickness = torch.from_numpy(frustum.h**2)[:, None, None].to(w.dtype)
    at = np.interp(-mm, mm, np.arange(len(mm)))  # beyond the last plane, that one
    low = torch.from_numpy(np.floor(at).astype(np.int64)).clamp(max=len(mm) - 2)
    part = (torch.from_numpy(at) - low)[:, None, None].to(w.dtype)
    density = w / thickness
    turned = (density[low] * (1 - part) + density[low + 1] * part) * thickness
    total = turned.sum(dim=0, keepdim=True)
    return torch.where(total > 0, turned * w.sum(dim=0, keepdim=True) / total.clamp(min=1e-12), turned)


class Residual(nn.Module):
    """Two convolutions beside a shortcut, each after group norm and SiLU."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inner), nn.Conv2d(inner, outer, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, outer), nn.Conv2d(outer, outer, 3, padding=1)
        self.shortcut = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(hidden)))


class Down(nn.Sequential):
    """To a grid of half as many rows and columns."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(nn.Conv2d(inner, outer, 3, stride=2, padding=1), Residual(outer, outer))


class Attention(nn.Module):
    """Self-attention between the cells of a grid, beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, width)
        self.qkv, self.out = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        query, key, value = (
            self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        )
        found = F.scaled_dot_product_attention(query, key, value)
        return x + self.out(found.transpose(-1, -2).reshape(b, c, h, w))
