"""M for small real cohorts: kernel ridge regression from one view to the pictures at other angles, and a small network
for what it leaves open.

A frontal and a lateral share their rows: height in one is height in the other, and so is, up to contrast, all that the
rays of a row have passed. So views are compared row by row, by features that do not care where in the row things lie
or which side they are on. The answer is a weighted mean of what was seen of other patients (Rasmussen & Williams 2006,
chapter 2), in closed form; how much each kind of feature counts is learned by the error of leaving one out. A few
small networks then learn what is missing from the predictions that left their own case out, which are as good as those
on new cases.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import InputError
from .rows import RowResidual

KINDS = ("halves", "asymmetry", "sorted", "darkest", "brightest", "texture")
_FIRST_WEIGHTS = (-1.2, -2.5, -1.2, -2.5, -2.5, -2.0)  # logarithms
_FIRST_PENALTY = -1.0


@dataclass(frozen=True)
class PosedConfig:
    """`rows`: of the grid on which views are compared; `yaw_scale_deg`: targets further apart hardly know each other;
    `members`: networks whose mean corrects the kernel."""

    size: int = 112
    rows: int = 28
    yaw_scale_deg: float = 20.0
    members: int = 3


def row_features(views: Tensor, rows: int) -> list[Tensor]:
    """Standardised views (n, h, w) -> for each of `KINDS` features (n, rows, k).

    The mean of the picture's two halves and half their difference; the grey values of a row in order of size, the
    least and the greatest of them, and how much detail finer than a row there is.
    """
    fine = F.adaptive_avg_pool2d(views[:, None], (rows, 2 * rows))[:, 0]
    coarse = F.adaptive_avg_pool2d(views[:, None], (rows, rows))[:, 0]
    left, right = coarse[:, :, : rows // 2], coarse.flip(2)[:, :, : rows // 2]
    ordered = fine.sort(dim=2).values
    smooth = F.interpolate(coarse[:, None], views.shape[1:], mode="bilinear")[:, 0]
    detail = F.adaptive_avg_pool2d((views - smooth).abs()[:, None], (rows, rows))[:, 0]
    texture = (detail + detail.flip(2))[:, :, : rows // 2] / 2
    halves, asymmetry = (left + right) / 2, (left - right) / 2
    return [halves, asymmetry, ordered[:, :, ::2], ordered[:, :, :1], ordered[:, :, -1:], texture]


def yaw_kernel(a_deg: Tensor, b_deg: Tensor, scale_deg: float) -> Tensor:
    """exp(-d^2 / 2 s^2) of the angles d between (n,) and (m,), the short way round: (n, m)."""
    apart = (a_deg[:, None] - b_deg[None, :] + 180) % 360 - 180
    return torch.exp(-0.5 * (apart / scale_deg).square())


class KernelWeights(nn.Module):
    """The learned numbers of the kernel: how much each of `KINDS` counts, and the penalty."""

    def __init__(self) -> None:
        super().__init__()
        self.log_weights = nn.Parameter(torch.tensor(_FIRST_WEIGHTS))
        self.log_penalty = nn.Parameter(torch.tensor(_FIRST_PENALTY))

    def forward(self, distances: Tensor) -> Tensor:
        """Similarity (m, n) from 0 to 1 of squared distances (kinds, m, n)."""
        return torch.exp(-torch.einsum("k,kmn->mn", self.log_weights.exp(), distances))

    def inverse(self, kernel: Tensor) -> Tensor:
        """The inverse (n, n) of a kernel (n, n) plus the penalty."""
        return torch.linalg.inv(kernel + self.log_penalty.exp() * torch.eye(len(kernel), device=kernel.device))


class PosedTransition(nn.Module):
    """One view (n, size, size), mean 0 and SD 1, and target angles -> the pictures there, on the same scale.

    `remember` is given the training pairs, which are part of the model; training moves `weights`, then `members`.
    """

    given: Tensor
    yaw_deg: Tensor
    targets: Tensor

    def __init__(self, config: PosedConfig, pairs: int = 0) -> None:
        super().__init__()
        self.config = config
        self.weights = KernelWeights()
        rows = config.rows
        channels = 3 * (rows // 2) + rows + 2 + rows
        self.members = nn.ModuleList(RowResidual(channels, rows, rows) for _ in range(config.members))
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
        return self.weights(distances) * yaw_kernel(yaw_deg, self.yaw_deg, self.config.yaw_scale_deg)

    def mean_view(self, yaw_deg: Tensor) -> Tensor:
        """The mean of the remembered pictures near angles (m,): (m, size, size)."""
        near = yaw_kernel(yaw_deg, self.yaw_deg, self.config.yaw_scale_deg).clamp_min(1e-12)
        return torch.einsum("mn,nhw->mhw", near / near.sum(dim=1, keepdim=True), self.targets)

    def solve(self, distances: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse of kernel plus penalty (n, n), and what the means leave over, as rows (n, pixels)."""
        inverse = self.weights.inverse(self.similarity(distances, self.yaw_deg))
        return inverse, (self.targets - self.mean_view(self.yaw_deg)).flatten(1)

    @torch.no_grad()
    def left_out(self) -> Tensor:
        """Every remembered picture as the kernel predicts it from all others, (n, size, size).

        The closed form of leaving one out (Rasmussen & Williams, equation 5.12); the mean views keep its share.
        """
        inverse, rest = self.solve(self.distances(self.given))
        return self.targets - (inverse @ rest / inverse.diagonal()[:, None]).unflatten(1, self.targets.shape[1:])

    @torch.no_grad()
    def expect(self, views: Tensor, yaw_deg: Tensor) -> Tensor:
        """The kernel's answer alone, as `forward`."""
        inverse, rest = self.solve(self.distances(self.given))
        kernel = self.similarity(self.distances(views), yaw_deg)
        return self.mean_view(yaw_deg) + (kernel @ (inverse @ rest)).unflatten(1, views.shape[1:])

    def row_inputs(self, views: Tensor, expected: Tensor) -> Tensor:
        """What the networks see, (m, channels, rows): features of views and of the kernel's answers (m, size, size)."""
        rows = self.config.rows
        answer = F.adaptive_avg_pool2d(expected[:, None], (rows, rows))[:, 0]
        return torch.cat([*row_features(views, rows), answer], dim=2).transpose(1, 2)

    @torch.no_grad()
    def forward(self, views: Tensor, yaw_deg: Tensor) -> Tensor:
        """The pictures (m, size, size) at angles (m,) of the patients whose given views are (m, size, size).

        Raises:
            InputError: views of another shape, or not finite.
        """
        self._check(views, yaw_deg)
        expected = self.expect(views, yaw_deg)
        if not self.members:
            return expected
        known = self.row_inputs(self.given, self.left_out())
        return expected + self._correction(standardise_rows(self.row_inputs(views, expected), known), yaw_deg)

    @torch.no_grad()
    def sample(self, views: Tensor, yaw_deg: Tensor, generator: torch.Generator, samples: int | None = None) -> Tensor:
        """Pictures that may be, as `forward`: its answer, and what it missed in a remembered case.

        With `samples` that many instead of one, (samples, m, size, size).

        The case is drawn by its similarity, and was left out of the prediction that missed it, so that its error is one
        of a stranger. `forward` is the mean of what may be, and smooth; a sample has the detail of a picture, of
        another patient.

        Raises:
            InputError: views of another shape, not finite, or unlike all remembered ones.
        """
        predicted, missed = self(views, yaw_deg), self.missed()
        likeness = self.similarity(self.distances(views), yaw_deg)
        if not (likeness.sum(dim=1) > 0).all():
            raise InputError("a view is unlike all remembered ones: is it of mean 0 and SD 1, and at a known angle?")
        drawn = [torch.multinomial(likeness, 1, generator=generator)[:, 0] for _ in range(samples or 1)]
        pictures = torch.stack([predicted + missed[cases] for cases in drawn])
        return pictures[0] if samples is None else pictures

    def _check(self, views: Tensor, yaw_deg: Tensor) -> None:
        size = self.config.size
        if views.shape != (len(yaw_deg), size, size) or not (views.isfinite().all() and yaw_deg.isfinite().all()):
            raise InputError(
                f"finite views (n, {size}, {size}) and n angles are wanted, got {tuple(views.shape)} and"
                f" {tuple(yaw_deg.shape)}"
            )

    @torch.no_grad()
    def missed(self) -> Tensor:
        """What is missing from the prediction of every remembered picture by all others, (n, size, size)."""
        left_out = self.left_out()
        if not self.members:
            return self.targets - left_out
        known = self.row_inputs(self.given, left_out)
        return self.targets - left_out - self._correction(standardise_rows(known, known), self.yaw_deg)

    def _correction(self, inputs: Tensor, yaw_deg: Tensor) -> Tensor:
        """What the networks add, (m, size, size), from standardised row inputs (m, channels, rows)."""
        correction = torch.stack([member(inputs, yaw_deg) for member in self.members]).mean(dim=0)
        return F.interpolate(correction[:, None], self.targets.shape[1:], mode="bilinear")[:, 0]


def standardise_rows(inputs: Tensor, known: Tensor) -> Tensor:
    """Inputs (m, channels, rows) less the mean of the known ones, each channel by its spread among these."""
    centred = known - known.mean(dim=0)
    return (inputs - known.mean(dim=0)) / centred.std(dim=(0, 2), keepdim=True)[0].clamp_min(1e-3)
