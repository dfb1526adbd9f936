"""Lungs and heart by a small U-Net: the same network reads a radiograph before and after the adapter.

It learns from the given masks of the half that the adapter learned from, on radiographs under a random appearance, so
that it knows outlines and not one look. It never sees an adapted picture: what it loses there is anatomy that moved
or was lost, and what a new look costs a network besides. So the loss that is reported is an upper bound of the
anatomy's.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.adaptation.appearance import Appearance, randomise
from ..realism.masks import ctr
from .domain import network_values
from .images import HEART, LUNGS

BATCH, CLASSES = 8, 3
LOOK = Appearance(shift=0.05, zoom=1.1, ap=0.0, collimation=0.0)
PLACE = Appearance(curve=0, contrast=0, blur=0, noise=0, collimation=0, shift=0.05, zoom=1.1, ap=0.0)


class UNet(nn.Module):
    """Views (b, 1, h, w) to logits (b, 3, h, w), on pixels folded 2 x 2."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96)) -> None:
        super().__init__()
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


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1),
        nn.GroupNorm(8, after),
        nn.SiLU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.GroupNorm(8, after),
        nn.SiLU(),
    )


def train_segmentation(views_p: np.ndarray, masks: np.ndarray, steps: int, seed: int) -> UNet:
    """Cross-entropy and soft Dice on views (n, size, size) p and masks (n, size, size) of 0, 1 and 2."""
    torch.manual_seed(seed)
    network = UNet()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        drawn = torch.randint(len(views_p), (BATCH,), generator=generator).numpy()
        # The frame is drawn first in `randomise`: one seed moves picture and masks alike.
        seed_of_step = int(torch.randint(2**31, (1,), generator=generator))
        x = randomise(network_values(views_p[drawn]), LOOK, torch.Generator().manual_seed(seed_of_step))
        truth = F.one_hot(torch.from_numpy(masks[drawn]).long(), CLASSES).permute(0, 3, 1, 2).float()
        moved = [
            randomise(plane[:, None], PLACE, torch.Generator().manual_seed(seed_of_step)) for plane in truth.unbind(1)
        ]
        truth = torch.cat(moved, dim=1)
        logits = network(x)
        shares = logits.softmax(1)
        overlap = 2 * (shares * truth).sum((0, 2, 3)) / (shares + truth).sum((0, 2, 3)).clamp_min(1)
        loss = -(truth * logits.log_softmax(1)).sum(1).mean() + (1 - overlap[1:]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def segment(network: UNet, views_p: np.ndarray) -> np.ndarray:
    """uint8 (n, size, size) of 0, 1 lungs, 2 heart."""
    found = [network(x).argmax(1) for x in network_values(views_p).split(32)]
    return torch.cat(found).numpy().astype(np.uint8)


def dice(found: np.ndarray, truth: np.ndarray, label: int) -> np.ndarray:
    """Dice overlap of one label for each picture, (n,)."""
    a, b = found == label, truth == label
    return 2 * (a & b).sum((1, 2)) / np.maximum(a.sum((1, 2)) + b.sum((1, 2)), 1)


def ratios(masks: np.ndarray) -> np.ndarray:
    """Cardiothoracic ratio of each, (n,)."""
    return np.array([ctr(mask == HEART, mask == LUNGS) for mask in masks])
