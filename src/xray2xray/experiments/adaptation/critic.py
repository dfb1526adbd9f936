"""The critic of one domain: a small classifier that answers for patches and for the whole picture.

It is made like the classifiers that later judge an adapter (`experiments.adaptation`): what a critic does not see, a
generator does not mend. Patches alone, with spectral norm as V's critic has it, left where a film lies in its frame as
it was. Not the same network, though: other widths, kernels and activations, so that a judge is more than its copy.
"""

import torch
from torch import Tensor, nn

PATCHES = 3  # convolutions before the patches are answered for, each half a picture's side


class Critic(nn.Module):
    """Pictures (b, 1, h, w) in network values -> answers for patches (b, h / 8 * w / 8) and for the picture (b, 1)."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        widths = (width, 2 * width, 3 * width, 4 * width, 4 * width)
        self.layers, before = nn.ModuleList(), 1
        for after in widths:
            convolution = nn.Conv2d(before, after, 4, stride=2, padding=1)
            self.layers.append(nn.Sequential(convolution, nn.GroupNorm(4, after), nn.LeakyReLU(0.2)))
            before = after
        self.patch, self.picture = nn.Conv2d(widths[PATCHES - 1], 1, 3, padding=1), nn.Linear(before, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers[:PATCHES]:
            x = layer(x)
        patches = self.patch(x).flatten(1)
        for layer in self.layers[PATCHES:]:
            x = layer(x)
        return patches.float(), self.picture(x.mean(dim=(2, 3))).float()


def distance(answers: tuple[Tensor, Tensor], wanted: float) -> Tensor:
    """Least squares (Mao et al. 2017, arXiv 1611.04076): how far the answers are from `wanted`, both kinds alike."""
    return torch.stack([(answer - wanted).square().mean() for answer in answers]).mean()
