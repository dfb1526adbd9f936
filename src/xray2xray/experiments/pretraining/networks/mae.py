"""MAE (He et al. 2022, arXiv 2111.06377): see a quarter of the patches, draw the others."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...supervised.backbones.backbone import initialise
from ...supervised.backbones.patches import new_positions
from ...supervised.backbones.vit import EPSILON, Block, VisionTransformer, ViTConfig


@dataclass(frozen=True)
class MAEConfig:
    """`masked`: share of the patches that the encoder does not see."""

    encoder: ViTConfig = field(default_factory=ViTConfig)
    masked: float = 0.75
    decoder_width: int = 128
    decoder_depth: int = 2
    decoder_heads: int = 4

    def __post_init__(self) -> None:
        if self.encoder.picture % self.encoder.patch or not 0 < self.masked < 1 or self.seen < 1:
            raise ValueError(f"{self}: the picture must divide into patches, some of them masked and some seen")

    @property
    def patches(self) -> int:
        return (self.encoder.picture // self.encoder.patch) ** 2

    @property
    def seen(self) -> int:
        """Patches that the encoder sees."""
        return round((1 - self.masked) * self.patches)


class MaskedAutoencoder(nn.Module):
    """A vision transformer of the patches seen, and a small one that draws all patches from what it found."""

    def __init__(self, config: MAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VisionTransformer(config.encoder)
        width = config.decoder_width
        self.enter = nn.Linear(config.encoder.width, width)
        self.unseen = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.place = new_positions(config.patches, width)
        drawn = ViTConfig(width, config.decoder_depth, config.decoder_heads)
        self.decoder = nn.Sequential(*(Block(drawn) for _ in range(drawn.depth)), nn.LayerNorm(width, EPSILON))
        self.leave = nn.Linear(width, config.encoder.channels * config.encoder.patch**2)
        for part in (self.enter, self.decoder, self.leave):
            initialise(part)

    def forward(self, x: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """Draw views from some of their patches.

        Args:
            x: (b, 1, side, side).
            order: (b, n), a permutation of the patches' places; the first `config.seen` are seen.

        Returns:
            patches (b, n, patch * patch), and which of them were not seen, bool (b, n).
        """
        seen = order[:, : self.config.seen]
        patches, grid = self.encoder.patch_embed(x)
        found = self.enter(self.encoder.read(patches, grid, seen))
        first = found.shape[1] - seen.shape[1]  # the class token, and registers
        places = seen[..., None].expand(-1, -1, found.shape[2])
        whole = self.unseen.expand(*order.shape, -1).to(found.dtype).scatter(1, places, found[:, first:])
        drawn = self.decoder(torch.cat([found[:, :first], whole + self.place], dim=1))[:, first:]
        hidden = torch.ones_like(order, dtype=torch.bool).scatter(1, seen, False)
        return self.leave(drawn).float(), hidden


def as_patches(x: Tensor, patch: int) -> Tensor:
    """Views (b, 1, side, side) as patches (b, n, patch * patch), row by row from the top left."""
    return x.unfold(2, patch, patch).unfold(3, patch, patch).flatten(1, 3).flatten(2)


def as_views(patches: Tensor, side: int) -> Tensor:
    """The inverse of `as_patches`."""
    patch = round(patches.shape[2] ** 0.5)
    grid = patches.unflatten(1, (side // patch, side // patch)).unflatten(3, (patch, patch))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, None]


def standardised(patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each patch with its own mean 0 and SD 1, what the network is to draw; and these, (b, n, 1)."""
    mean = patches.mean(dim=2, keepdim=True)
    sd = (patches.var(dim=2, keepdim=True) + 1e-6).sqrt()  # air is flat
    return (patches - mean) / sd, mean, sd


def drawing_loss(drawn: Tensor, hidden: Tensor, x: Tensor) -> Tensor:
    """Mean square error over the pixels of the hidden patches; 1 is what the mean of each patch would reach."""
    wanted, _, _ = standardised(as_patches(x, round(drawn.shape[2] ** 0.5)))
    return (drawn - wanted).square().mean(dim=2)[hidden].mean()
