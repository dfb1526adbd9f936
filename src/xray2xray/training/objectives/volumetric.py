"""What the lifting network learns: how a chest's line integrals are distributed along their rays.

Loss. Let q be the part of a ray's line integral that lies in a cell of the state, and l the network's. The loss is the
deviance of Poisson counts, sum(l - q log l): on the detector, where sum(l) = p is measured, the cross-entropy over
depth weighted by p; beyond it also sum(l) - p log sum(l) of the predicted line integral. Its minimiser is the
conditional mean of q given the view, hence of every view that is a linear function of q.

Augmentation. Every patient is changed in the frustum, view and volume alike: mirror, scale and shear, shift, stretch
and bend along depth, intensity, and the ends of the scan. Sums along rays stay sums along rays.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models.transitions.volumetric import PATCH, LiftingNetwork
from ..objective import Batch, Objective, follow

BATCH = 8  # held-out patients at once
MEAN_OF = 200  # patients of each source that make the mean


@dataclass(frozen=True)
class Augmentation:
    """Largest changes, drawn evenly; lengths are shares of half a detector, or of half the state's depth.

    Chests become larger more often than smaller: bodies fill the view and go beyond it.

    Attributes:
        scale: least and most of both directions across the rays, as logarithms; `aspect`: of one against the other.
        shear: columns per row.
        shift_rows, shift_columns: of the chest before the detector.
        depth_scale: as a logarithm. `depth_shift`, and `depth_tilt`: shift per half a detector upwards and sideways.
        intensity: of attenuation, as a logarithm.
        cut: probability of a scan that ends early above or below.
        mirror: probability of left for right.
    """

    scale: tuple[float, float] = (-0.10, 0.26)
    aspect: float = 0.08
    shear: float = 0.06
    shift_rows: float = 0.12
    shift_columns: float = 0.08
    depth_scale: float = 0.16
    depth_shift: float = 0.10
    depth_tilt: float = 0.06
    intensity: float = 0.06
    cut: float = 0.25
    mirror: float = 0.5


GENTLE = Augmentation((-0.08, 0.26), 0.04, 0.03, 0.06, 0.05, 0.06, 0.05, 0.02, 0.03, 0.15, 0.5)
"""For virtual patients, of which there is no end: mostly to move their flanks beyond the detector."""


def augmented(portions: Tensor, p: Tensor, change: Augmentation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Portions (b, depth, rows, columns) and p (b, 2 rows, 2 columns), NaN where it is not known, changed alike.

    Grids are taken to reach an eighth of the detector beyond it above and below, and a quarter at the sides.
    """
    b = len(portions)
    half_rows, half_columns = 1.25, 1.5  # half the grid in half detectors

    def even(limit: float) -> Tensor:
        return (2 * torch.rand(b, generator=generator) - 1) * limit

    def chosen(probability: float) -> Tensor:
        return torch.rand(b, generator=generator) < probability

    low, high = change.scale
    scale = (low + high) / 2 + even((high - low) / 2)
    aspect, stretch = even(change.aspect), even(change.depth_scale).exp()
    flip = torch.where(chosen(change.mirror), -1.0, 1.0)
    affine = torch.zeros(b, 3, 4)  # rows x, y, z of grid_sample: column, row, plane, from new to old
    affine[:, 0, 0] = flip * (-scale - aspect).exp()
    affine[:, 0, 1] = even(change.shear) * half_rows / half_columns
    affine[:, 0, 3] = even(change.shift_columns) / half_columns
    affine[:, 1, 1] = (-scale + aspect).exp()
    affine[:, 1, 3] = even(change.shift_rows) / half_rows
    affine[:, 2, 0] = even(change.depth_tilt) * half_columns
    affine[:, 2, 1] = even(change.depth_tilt) * half_rows
    affine[:, 2, 2] = 1 / stretch
    affine[:, 2, 3] = even(change.depth_shift)
    portions = _sampled(portions[:, None], affine)[:, 0]

    known = torch.isfinite(p)
    flat = affine[:, :2, [0, 1, 3]]
    p = _sampled(torch.nan_to_num(p)[:, None], flat)[:, 0]
    known = _sampled(known.float()[:, None], flat)[:, 0] > 0.99
    intensity = even(change.intensity).exp()[:, None, None]
    portions = portions * intensity[:, None]
    p = p * intensity * stretch[:, None, None]  # a chest that is deeper fills more planes

    down = torch.linspace(-half_rows, half_rows, p.shape[1])
    top = torch.where(chosen(change.cut), -1 + 0.5 * torch.rand(b, generator=generator), -9.0)
    bottom = torch.where(chosen(change.cut), 1 - 0.5 * torch.rand(b, generator=generator), 9.0)
    kept = ((down > top[:, None]) & (down < bottom[:, None])).float()
    p = p * kept[:, :, None]
    portions = portions * F.avg_pool1d(kept[:, None], PATCH)[:, 0, None, :, None]
    return portions, torch.where(known, p, torch.nan)


def _sampled(grid: Tensor, affine: Tensor) -> Tensor:
    where = F.affine_grid(affine, list(grid.shape), align_corners=False)
    return F.grid_sample(grid, where, align_corners=False)


class Patients(Protocol):
    """Patients by number: portions (depth, rows, columns) and p (2 rows, 2 columns) with NaN where it is not known."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class Source:
    """Patients of one kind, the share of a batch they make, and how they are changed."""

    patients: Patients
    share: float
    change: Augmentation


class LiftingObjective(Objective):
    """Trains a lifting network on sources of patients; a batch counts patients."""

    stage = "lifting"

    def __init__(
        self, model: LiftingNetwork, sources: Sequence[Source], held_out: Patients | None, average_decay: float = 0.998
    ) -> None:
        super().__init__()
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.average_decay = average_decay
        self._sources, self._held_out = tuple(sources), held_out

    def prepare(self, started: bool = False) -> None:
        """The mean of the sources, by their shares (before training; a resumed run restores it)."""
        total = torch.zeros_like(self.model.mean)
        for source in self._sources:
            chosen = np.linspace(0, len(source.patients) - 1, min(MEAN_OF, len(source.patients))).astype(int)
            for number in chosen:
                portions, _ = source.patients[int(number)]
                total += torch.from_numpy(np.array(portions, np.float32)) * (source.share / len(chosen))
        self.model.set_mean(total)
        self.average.set_mean(total)

    def learned(self, part: str) -> nn.Module:
        return self.model

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        found = []
        begin = 0
        for source, end in zip(self._sources, np.cumsum([source.share for source in self._sources]), strict=True):
            count, begin = round(end * size) - begin, round(end * size)
            if not count:
                continue
            numbers = torch.randint(len(source.patients), (count,), generator=generator)
            found.append(augmented(*_stacked(source.patients, numbers.tolist()), source.change, generator))
        portions, p = (torch.cat(part) for part in zip(*found, strict=True))
        return {"portions": portions, "p": p}

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        figures = loss(self.model, batch["portions"], batch["p"])
        return figures.pop("loss"), figures

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        follow(self.average, self.model, step, self.average_decay)
        return {}

    def validate(self) -> dict[str, float]:
        """The two parts of the loss on the held-out patients, as they are, by the averaged weights."""
        if self._held_out is None:
            return {}
        sums: dict[str, float] = {}
        for first in range(0, len(self._held_out), BATCH):
            numbers = range(first, min(first + BATCH, len(self._held_out)))
            for name, value in loss(self.average, *_stacked(self._held_out, numbers)).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(numbers) / len(self._held_out)
        return sums

    def configuration(self) -> dict[str, Any]:
        sources = [[len(source.patients), source.share, asdict(source.change)] for source in self._sources]
        return {"model": asdict(self.model.config), "sources": sources, "average_decay": self.average_decay}


def _stacked(patients: Patients, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
    portions, p = zip(*(patients[number] for number in numbers), strict=True)
    return (
        torch.from_numpy(np.stack(portions).astype(np.float32)),
        torch.from_numpy(np.stack(p).astype(np.float32)),
    )


def loss(network: LiftingNetwork, portions: Tensor, p: Tensor) -> dict[str, Tensor]:
    """Means over cells: `loss` to be minimised, `depth` and `beyond` its two parts.

    Args:
        portions: (b, depth, rows, columns), the truth in each cell.
        p: (b, 2 rows, 2 columns), line integrals, NaN where they are not known.
    """
    side, (rows, columns) = network.config.size, p.shape[1:]
    top, left = (rows - side) // 2, (columns - side) // 2
    view = torch.nan_to_num(p[:, None, top : top + side, left : left + side])
    logits, log_p = network(view)
    known = F.avg_pool2d(torch.isfinite(p).float()[:, None], PATCH)[:, 0] == 1
    beyond = known.clone()
    beyond[:, top // PATCH : (top + side) // PATCH, left // PATCH : (left + side) // PATCH] = False
    total = portions.sum(dim=1)
    across = -(portions * logits.float().log_softmax(dim=1)).sum(dim=1)
    depth = across[known].sum() / known.numel()
    outside = (log_p.exp() - total * log_p)[beyond].sum() / known.numel()
    return {"loss": depth + outside, "depth": depth.detach(), "beyond": outside.detach()}
