"""What the lifting network learns: how a chest's line integrals are distributed along their rays.

Loss. Let q be the part of a ray's line integral that lies in a cell of the state, and l the network's. The loss is the
deviance of Poisson counts, sum(l - q log l): on the detector, where sum(l) = p is measured, the cross-entropy over
depth weighted by p; beyond it also sum(l) - p log sum(l) of the predicted line integral. Its minimiser is the
conditional mean of q given the view, hence of every view that is a linear function of q.

Augmentation. Every patient is changed in the frustum, view and volume alike: mirror, scale and shear, shift, stretch
and bend along depth, posture, intensity, and the ends of the scan. Sums along rays stay sums along rays.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import InputError
from ...models.transitions.deviations import deviations_of
from ...models.transitions.lifting_network import PATCH, LiftingNetwork
from ...models.transitions.residual_bank import bank_of
from ...models.transitions.volumetric import VolumetricConfig, VolumetricTransition
from ...models.vision.normalise import to_network
from ...projection.frustum import march
from ...projection.geometry import as_poses
from ...projection.lifted import extended
from ..objective import Batch, Objective, draw_rows, follow, require, require_shares
from ..pictures import contact_sheet
from ..posture import bent
from ..settings import Settings, Size
from ..steps import LoopConfig

if TYPE_CHECKING:
    from ..stage_data import StageData

BATCH = 8  # held-out patients at once
PICTURED_DEG = (-90.0, -45.0, 0.0, 45.0, 90.0)


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
        posture: most of the way to the posture of real patients, see `training.posture`.
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
    posture: float = 0.0


GENTLE = Augmentation((-0.08, 0.26), 0.04, 0.03, 0.06, 0.05, 0.06, 0.05, 0.02, 0.03, 0.15, 0.5, posture=1.6)
"""For virtual patients, of which there is no end: mostly to move their flanks beyond the detector, and to bend them."""


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
    posture = change.posture * torch.rand(b, generator=generator) if change.posture else torch.zeros(b)
    where = F.affine_grid(affine, [b, 1, *portions.shape[1:]], align_corners=False)
    plane = where[:, :1]  # rows and columns are the same in every plane
    where[..., 2], _ = bent(where[..., 2], -half_rows * plane[..., 1], half_columns * plane[..., 0], posture)
    portions = F.grid_sample(portions[:, None], where, align_corners=False)[:, 0]

    known = torch.isfinite(p)
    flat = affine[:, :2, [0, 1, 3]]
    where = F.affine_grid(flat, [b, 1, *p.shape[1:]], align_corners=False)
    p = F.grid_sample(torch.nan_to_num(p)[:, None], where, align_corners=False)[:, 0]
    known = F.grid_sample(known.float()[:, None], where, align_corners=False)[:, 0] > 0.99
    _, deeper = bent(torch.zeros_like(p), -half_rows * where[..., 1], half_columns * where[..., 0], posture)
    intensity = even(change.intensity).exp()[:, None, None]
    portions = portions * intensity[:, None]
    p = p * intensity * stretch[:, None, None] * deeper  # a chest that is deeper fills more planes

    down = torch.linspace(-half_rows, half_rows, p.shape[1])
    top = torch.where(chosen(change.cut), -1 + 0.5 * torch.rand(b, generator=generator), -9.0)
    bottom = torch.where(chosen(change.cut), 1 - 0.5 * torch.rand(b, generator=generator), 9.0)
    kept = ((down > top[:, None]) & (down < bottom[:, None])).float()
    p = p * kept[:, :, None]
    portions = portions * F.avg_pool1d(kept[:, None], PATCH)[:, 0, None, :, None]
    return portions, torch.where(known, p, torch.nan)


class Patients(Protocol):
    """Patients by number: portions (depth, rows, columns) and p (2 rows, 2 columns) with NaN where it is not known."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class VolumetricTraining:
    """`average_decay`: of the weights' moving average, which is kept. `mean_of`: patients that make the mean chest.
    `validated`: held-out patients that are looked at while training."""

    average_decay: float = 0.998
    mean_of: int = 400
    validated: int = 24

    def __post_init__(self) -> None:
        require(self.mean_of >= 1 and self.validated >= 1, "mean_of and validated must be at least 1")
        require_shares(self, "average_decay")


class VolumetricObjective(Objective):
    """A batch counts patients, drawn as `weight` says; those beyond its length are held out.

    Args:
        virtual: (n,) bool, which patients are virtual: these are changed gently.
    """

    stage = "volumetric"

    def __init__(
        self,
        model: VolumetricTransition,
        patients: Patients,
        weight: Tensor,
        virtual: np.ndarray,
        training: VolumetricTraining,
    ) -> None:
        super().__init__()
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.training_config = training
        self._patients, self._weight, self._virtual = patients, weight, virtual

    @classmethod
    def settings(cls, size: Size) -> Settings:
        network = VolumetricConfig(size=size.vision.size, donors=6, deviations=96)
        if size.steps is None:
            loop = LoopConfig(steps=2600, batch=8, rate=1e-3, warm_up=100, check_every=200, optimizer="muon")
        else:
            network = replace(network, widths=(96, 192, 320, 512), heads=8)
            loop = LoopConfig(steps=size.steps // 4, batch=32, rate=1e-3, warm_up=500, optimizer="muon")
        return Settings(network, loop, VolumetricTraining())

    @classmethod
    def build(cls, model: VolumetricTransition, data: "StageData", training: VolumetricTraining) -> Self:
        size = data.studies.geometry.size
        if model.config.size != size:
            raise InputError(
                f"the views have {size} pixels a side, the volumetric form is set to {model.config.size}: say so in a "
                f"recipe (volumetric: {{size: {size}}})"
            )
        return cls(model, data.lifted(model.config.frustum), data.weight, data.studies.virtual, training)

    @property
    def result(self) -> VolumetricTransition:
        return self.average

    def prepare(self, started: bool = False) -> None:
        """The mean chest, unless the weights come with one."""
        if started:
            return
        count = min(self.training_config.mean_of, len(self._weight))
        chosen = torch.multinomial(self._weight, count, replacement=True, generator=torch.Generator().manual_seed(0))
        total = torch.zeros_like(self.model.network.mean)
        for number in chosen.tolist():
            total += torch.from_numpy(np.asarray(self._patients[number][0], np.float32)) / count
        self.model.network.set_mean(total)
        self.average.network.set_mean(total)

    def learned(self, part: str) -> nn.Module:
        return self.model.network

    def draw(self, size: int, progress: float, generator: torch.Generator) -> Batch:
        rows = draw_rows(self._weight, size, generator)
        virtual = torch.from_numpy(self._virtual[rows.numpy()])
        found = [
            augmented(*_stacked(self._patients, rows[of_kind].tolist()), change, generator)
            for of_kind, change in ((virtual, GENTLE), (~virtual, Augmentation()))
            if of_kind.any()
        ]
        portions, p = (torch.cat(part) for part in zip(*found, strict=True))
        return {"portions": portions, "p": p}

    def forward(self, batch: Batch, part: str, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        figures = loss(self.model.network, batch["portions"], batch["p"])
        return figures.pop("loss"), figures

    def after_step(self, step: int, progress: float, generator: torch.Generator) -> dict[str, float]:
        follow(self.average.network, self.model.network, step, self.training_config.average_decay)
        return {}

    @torch.no_grad()
    def finish(self) -> None:
        """What samples are drawn with: donors of detail, real ones where there are any, and deviations of patients that
        are drawn as in training."""
        config, known = self.model.config, np.arange(len(self._weight))
        if config.donors:
            real = known[~self._virtual[known]]
            chosen = _spread(real if len(real) >= config.donors else known, config.donors)
            self.average.set_bank(bank_of([self._true_and_expected(n) for n in chosen.tolist()], config.frustum))
        if config.deviations:
            again = int((self._weight > 0).sum()) < config.deviations
            drawn = torch.multinomial(
                self._weight, config.deviations, again, generator=torch.Generator().manual_seed(0)
            )
            self.average.set_deviations(deviations_of([self._true_and_expected(n) for n in drawn.tolist()]))

    def _true_and_expected(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Portions (depth, rows, columns) of a patient, and what the network expects of them given the frontal."""
        portions, p = _stacked(self._patients, [number])
        view = measured(p, self.model.config.size).to(self.average.network.mean.device)
        w, _ = self.average.network.lift(view, mirrored=True)
        return portions[0].numpy(), (w[0].cpu() * portions[0].sum(dim=0)).numpy()

    def validate(self) -> dict[str, float]:
        """The two parts of the loss on held-out patients, as they are, by the averaged weights."""
        held_out = self._held_out()
        sums: dict[str, float] = {}
        for numbers in torch.tensor(held_out).split(BATCH) if held_out else ():
            some = _stacked(self._patients, numbers.tolist())
            device = self.average.network.mean.device
            for name, value in loss(self.average.network, *(x.to(device) for x in some)).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(numbers) / len(held_out)
        return sums

    def picture(self) -> np.ndarray | None:
        """A held-out patient from five angles: the true volume, and the predicted one."""
        if not (held_out := self._held_out()):
            return None
        portions, p = _stacked(self._patients, held_out[:1])
        view = measured(p, self.model.config.size)
        w, beyond = (x[0].cpu().numpy() for x in self.average.network.lift(view.to(self.average.network.mean.device)))
        frustum = self.average.config.frustum
        predicted = w * extended(F.avg_pool2d(view, PATCH)[0, 0].numpy(), frustum, beyond)
        rows = [
            march(volume / frustum.sample_mm, frustum, frustum.geometry, as_poses(PICTURED_DEG))
            for volume in (portions[0].numpy(), predicted)
        ]
        return contact_sheet([to_network(torch.from_numpy(row)[:, None]) for row in rows])

    def configuration(self) -> dict[str, Any]:
        return {
            "model": asdict(self.model.config),
            "training": asdict(self.training_config),
            "patients": len(self._weight),
            "virtual": int(self._virtual.sum()),
        }

    def _held_out(self) -> list[int]:
        return list(range(len(self._weight), len(self._patients)))[: self.training_config.validated]


def measured(p: Tensor, side: int) -> Tensor:
    """(b, 1, side, side): the part of p (b, 2 rows, 2 columns) that the detector measures."""
    top, left = ((n - side) // 2 for n in p.shape[1:])
    return torch.nan_to_num(p[:, None, top : top + side, left : left + side])


def _spread(numbers: np.ndarray, count: int) -> np.ndarray:
    return numbers[np.linspace(0, len(numbers) - 1, count).astype(int)]


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
    logits, log_p = network(measured(p, side))
    known = F.avg_pool2d(torch.isfinite(p).float()[:, None], PATCH)[:, 0] == 1
    beyond = known.clone()
    beyond[:, top // PATCH : (top + side) // PATCH, left // PATCH : (left + side) // PATCH] = False
    total = portions.sum(dim=1)
    across = -(portions * logits.float().log_softmax(dim=1)).sum(dim=1)
    depth = across[known].sum() / known.numel()
    outside = (log_p.exp() - total * log_p)[beyond].sum() / known.numel()
    return {"loss": depth + outside, "depth": depth.detach(), "beyond": outside.detach()}
