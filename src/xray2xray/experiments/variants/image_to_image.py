"""What M is compared with: a network from picture to picture, without V and without tokens.

A U-Net (Ronneberger et al. 2015) whose way down looks at the frontal once and whose way up is told the target angle by
scales and shifts (Perez et al. 2018, arXiv 1709.07871). It starts from the mean view at the angle.
"""

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.transitions.blocks import angle_features
from ...projection.geometry import STANDARD_ARC
from ...training.objective import Batch, Objective, draw_rows, follow
from ...training.objectives.vision import stored_to_network

FRONTAL = STANDARD_ARC.index(0.0)
WIDTHS = (16, 32, 64, 128, 256)  # at a half, a quarter, ... of the picture's side
HARMONICS = 6
AVERAGE_DECAY = 0.998


class Stage(nn.Module):
    """Residual block of two convolutions over (b, width, h, w), scaled and shifted by a condition (b, 2 * width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        hidden = self.norm2(self.first(F.silu(self.norm1(x))))
        if condition is not None:
            scale, shift = condition[..., None, None].chunk(2, dim=1)
            hidden = hidden * (1 + scale) + shift
        return x + self.second(F.silu(hidden))


class ImageToImage(nn.Module):
    """Frontals (b, 1, h, w) and angles (b, t), network values -> views (b, t, h, w). Sides are multiples of 32."""

    mean: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(STANDARD_ARC), size, size))
        self.enter = nn.Conv2d(1, WIDTHS[0], 4, stride=2, padding=1)
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(WIDTHS))
        self.down = nn.ModuleList(Stage(width) for width in WIDTHS)
        self.widen = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.up = nn.ModuleList(Stage(width) for width in WIDTHS)
        self.angle = nn.Sequential(nn.Linear(2 * HARMONICS, 128), nn.SiLU())
        self.conditions = nn.ModuleList(nn.Linear(128, 2 * width) for width in WIDTHS)
        self.leave = nn.ConvTranspose2d(WIDTHS[0], 1, 4, stride=2, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, frontal: Tensor, yaw_deg: Tensor) -> Tensor:
        targets = yaw_deg.shape[1]
        skips = [self.down[0](self.enter(frontal))]
        for narrow, stage in zip(self.narrow, list(self.down)[1:], strict=True):
            skips.append(stage(narrow(skips[-1])))
        told = self.angle(angle_features(yaw_deg, HARMONICS)).flatten(0, 1)
        x = torch.zeros(())
        for level in reversed(range(len(WIDTHS))):
            skip = skips[level].repeat_interleave(targets, dim=0)
            x = skip if level == len(WIDTHS) - 1 else skip + self.widen[level](F.interpolate(x, scale_factor=2.0))
            x = self.up[level](x, self.conditions[level](told))
        nearest = ((yaw_deg - STANDARD_ARC[0]) / (STANDARD_ARC[1] - STANDARD_ARC[0])).round().long()
        return self.mean[nearest] + self.leave(x)[:, 0].unflatten(0, (-1, targets))

    @torch.no_grad()
    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """As the baselines: unit frontals (b, h, w) -> unit views (b, 37, h, w) of the standard arc."""
        frontal = 2 * torch.from_numpy(np.ascontiguousarray(inputs)) - 1
        views = self(frontal[:, None], torch.tensor(STANDARD_ARC).expand(len(frontal), -1))
        views[:, FRONTAL] = frontal
        return (views.clamp(-1, 1).numpy() + 1) / 2


class ImageToImageObjective(Objective):
    """The squared error of pixels. `views`: uint16 (patients, 37, h, w); a batch counts patients."""

    stage = "image_to_image"

    def __init__(self, model: ImageToImage, views: np.ndarray, weight: Tensor, targets: int) -> None:
        super().__init__()
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self._views, self._weight, self._targets = views, weight, targets

    def prepare(self, started: bool = False) -> None:
        """Fit the mean views."""
        learned = self._views[: len(self._weight)]
        for angle in range(len(STANDARD_ARC)):
            mean = stored_to_network(learned[:, angle]).mean(dim=0)
            self.model.mean[angle] = mean
            self.average.mean[angle] = mean

    def learned(self, part: str) -> nn.Module:
        return self.model

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        patients = draw_rows(self._weight, size, generator)
        targets = torch.rand(size, len(STANDARD_ARC), generator=generator).argsort(dim=1)[:, : self._targets]
        return {
            "frontal": stored_to_network(self._views[patients.numpy(), FRONTAL])[:, None],
            "yaw": torch.tensor(STANDARD_ARC)[targets],
            "x": stored_to_network(self._views[patients[:, None].numpy(), targets.numpy()]),
        }

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        mse = (self.model(batch["frontal"], batch["yaw"]) - batch["x"]).square().mean()
        return mse, {"pixel_mse": mse.detach()}

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        follow(self.average, self.model, step, AVERAGE_DECAY)
        return {}

    def configuration(self) -> dict[str, Any]:
        return {"widths": list(WIDTHS), "targets": self._targets, "patients": len(self._weight)}
