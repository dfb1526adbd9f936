"""Lungs and heart by a small U-Net: the same network reads a radiograph before and after the adapter.

It learns from the given masks of the half that the adapter learned from, on radiographs under a random appearance, so
that it knows outlines and not one look. It never sees an adapted picture: what it loses there is anatomy that moved
or was lost, and what a new look costs a network besides. So the loss that is reported is an upper bound of the
anatomy's.
"""

import numpy as np
import torch
from torch.nn import functional as F

from ...models.adaptation.appearance import Appearance, randomise
from ...models.outlines import CLASSES, HEART, LUNGS, OutlineConfig, UNet, cardiothoracic_ratio
from .domain import network_values

BATCH = 8
LOOK = Appearance(shift=0.05, zoom=1.1, ap=0.0, collimation=0.0)
PLACE = Appearance(curve=0, contrast=0, blur=0, noise=0, collimation=0, shift=0.05, zoom=1.1, ap=0.0)


def train_segmentation(
    views_p: np.ndarray, masks: np.ndarray, steps: int, seed: int, config: OutlineConfig | None = None
) -> UNet:
    """Cross-entropy and soft Dice on views (n, size, size) p and masks (n, size, size) of 0, 1 and 2."""
    torch.manual_seed(seed)
    network = UNet(config or OutlineConfig())
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
    return np.array([cardiothoracic_ratio(mask == HEART, mask == LUNGS) for mask in masks])
