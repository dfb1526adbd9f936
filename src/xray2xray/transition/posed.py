"""M for small real cohorts: kernel ridge regression from one view to the pictures at other angles.

A frontal and a lateral share their rows: height in one is height in the other, and so is, up to contrast, all that the
rays of a row have passed. So views are compared row by row, by features that do not care where in the row things lie
or which side they are on. The answer is a weighted mean of what was seen of other patients (Rasmussen & Williams 2006,
chapter 2), in closed form; only how much each kind of feature counts is learned, by the error of leaving one out.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KINDS = ("halves", "asymmetry", "sorted", "darkest", "brightest")
_FIRST_WEIGHTS = (-1.2, -2.5, -1.2, -2.5, -2.5)  # logarithms
_FIRST_PENALTY = -1.0


@dataclass(frozen=True)
class PosedConfig:
    """`rows`: of the grid on which views are compared; `yaw_scale_deg`: targets further apart hardly know each other."""

    size: int = 112
    rows: int = 28
    yaw_scale_deg: float = 20.0


def row_features(views: Tensor, rows: int) -> list[Tensor]:
    """Standardised views (n, h, w) -> for each of `KINDS` features (n, rows, k).

    The mean of the picture's two halves and half their difference; the grey values of a row in order of size, and the
    least and the greatest of them.
    """
    fine = F.adaptive_avg_pool2d(views[:, None], (rows, 2 * rows))[:, 0]
    coarse = F.adaptive_avg_pool2d(views[:, None], (rows, rows))[:, 0]
    left, right = coarse[:, :, : rows // 2], coarse.flip(2)[:, :, : rows // 2]
    ordered = fine.sort(dim=2).values
    return [(left + right) / 2, (left - right) / 2, ordered[:, :, ::2], ordered[:, :, :1], ordered[:, :, -1:]]


def yaw_kernel(a_deg: Tensor, b_deg: Tensor, scale_deg: float) -> Tensor:
    """exp(-d^2 / 2 s^2) of the angles d between (n,) and (m,), the short way round: (n, m)."""
    apart = (a_deg[:, None] - b_deg[None, :] + 180) % 360 - 180
    return torch.exp(-0.5 * (apart / scale_deg).square())


class PosedTransition(nn.Module):
    """One view (n, size, size), mean 0 and SD 1, and target angles -> the pictures there, on the same scale.

    `remember` is given the training pairs; `log_weights` and `log_penalty` are what training moves.
    """

    given: Tensor
    centre: Tensor
    spread: Tensor
    yaw_deg: Tensor
    targets: Tensor

    def __init__(self, config: PosedConfig, pairs: int = 0) -> None:
        super().__init__()
        self.config = config
        self.log_weights = nn.Parameter(torch.tensor(_FIRST_WEIGHTS))
        self.log_penalty = nn.Parameter(torch.tensor(_FIRST_PENALTY))
        self.register_buffer("given", torch.zeros(pairs, config.size, config.size))
        self.register_buffer("yaw_deg", torch.zeros(pairs))
        self.register_buffer("targets", torch.zeros(pairs, config.size, config.size))

    def remember(self, given: Tensor, yaw_deg: Tensor, targets: Tensor) -> None:
        """Pairs to learn from: given views (n, size, size), angles (n,) and pictures (n, size, size) of the targets."""
        self.given, self.yaw_deg, self.targets = given, yaw_deg, targets

    def distances(self, views: Tensor) -> Tensor:
        """Squared distances (kinds, m, n) of views (m, size, size) to the n given ones, 1 on average among these.

        Every row of every kind counts alike, however much its grey values vary.
        """
        rows = self.config.rows
        found = []
        for seen, known in zip(row_features(views, rows), row_features(self.given, rows), strict=True):
            scale = (2 * rows * known.var(dim=0, correction=0).sum(dim=1)).clamp_min(1e-6).rsqrt()[:, None]
            found.append(torch.cdist((seen * scale).flatten(1), (known * scale).flatten(1)).square())
        return torch.stack(found)

    def similarity(self, distances: Tensor, yaw_deg: Tensor) -> Tensor:
        """The kernel (m, n) of distances (kinds, m, n) and target angles (m,) with the remembered pairs."""
        between = torch.einsum("k,kmn->mn", self.log_weights.exp(), distances)
        return torch.exp(-between) * yaw_kernel(yaw_deg, self.yaw_deg, self.config.yaw_scale_deg)

    def mean_view(self, yaw_deg: Tensor) -> Tensor:
        """The mean of the remembered pictures near angles (m,): (m, size, size)."""
        near = yaw_kernel(yaw_deg, self.yaw_deg, self.config.yaw_scale_deg).clamp_min(1e-12)
        return torch.einsum("mn,nhw->mhw", near / near.sum(dim=1, keepdim=True), self.targets)

    def solve(self, distances: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse of kernel plus penalty (n, n), and what the means leave over, as rows (n, pixels)."""
        kernel = self.similarity(distances, self.yaw_deg)
        inverse = torch.linalg.inv(kernel + self.log_penalty.exp() * torch.eye(len(kernel), device=kernel.device))
        return inverse, (self.targets - self.mean_view(self.yaw_deg)).flatten(1)

    @torch.no_grad()
    def left_out(self) -> Tensor:
        """Every remembered picture as predicted from all others, (n, size, size), by the closed form of leaving one
        out (Rasmussen & Williams, equation 5.12; the mean views keep their share of it)."""
        inverse, rest = self.solve(self.distances(self.given))
        return self.targets - (inverse @ rest / inverse.diagonal()[:, None]).unflatten(1, self.targets.shape[1:])

    @torch.no_grad()
    def forward(self, views: Tensor, yaw_deg: Tensor) -> Tensor:
        """The pictures (m, size, size) at angles (m,) of the patients whose given views are (m, size, size)."""
        inverse, rest = self.solve(self.distances(self.given))
        kernel = self.similarity(self.distances(views), yaw_deg)
        return self.mean_view(yaw_deg) + (kernel @ (inverse @ rest)).unflatten(1, views.shape[1:])
