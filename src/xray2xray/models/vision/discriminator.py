"""The critic of V's reconstructions: a PatchGAN (Isola et al. 2017, arXiv 1611.07004) with feature matching.

Its features stand in for the perceptual loss of the original VQ-GAN, whose LPIPS weights would have to be downloaded.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Discriminator(nn.Module):
    """Scores overlapping patches (about 60 px wide) of views (b, 1, h, w) in network values."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        before = 4  # pixel-unshuffle(2) of one channel: the first convolution at half the resolution is cheap
        for after in widths:
            layers.append(nn.utils.parametrizations.spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)))
            before = after
        self.layers = nn.ModuleList(layers)
        self.score = nn.Conv2d(before, 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Patch scores (b, 1, h / 16, w / 16) and the features of each layer."""
        features = []
        hidden = F.pixel_unshuffle(x, 2)
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.2)
            features.append(hidden)
        return self.score(hidden), features


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of the discriminator on its scores."""
    return (F.relu(1.0 - real) + F.relu(1.0 + fake)).float().mean() / 2


def matching_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean distance of the features of a view and of its reconstruction."""
    distances = [F.l1_loss(f.float(), r.detach().float()) for r, f in zip(real, fake, strict=True)]
    return torch.stack(distances).mean()
