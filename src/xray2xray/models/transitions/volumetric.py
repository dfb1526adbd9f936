"""M, the volumetric form: how the attenuation that each ray of a view has measured is distributed along that ray.

The state is a chest on a grid that follows the rays of the given view (`projection.lifted`). The given view is
reproduced by construction, all views are of one chest by construction, and turning it is the projector's work.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.errors import InputError, UsageError
from ...projection.frustum import Frustum, march
from ...projection.geometry import PRESETS, Pose, preset
from ...projection.lifted import Lifted, extended
from ...reconstruction.lifted import agreed
from .base import Noise, Observation, PixelViews, State, Transition, Views, checked_depth
from .lifting_network import FLOOR, LiftingConfig, LiftingNetwork, lifted
from .residual_bank import ResidualBank

FRONTAL_DEG = 15.0  # a view turned by no more than this from PA or AP is lifted as a frontal
GRID = 8  # cells along the detector's side of the features
SLABS = 8  # of depth, in the features


@dataclass(frozen=True)
class VolumetricConfig(LiftingConfig):
    """Beside the network's sizes:

    Attributes:
        geometry: preset of the views it is trained on.
        donors: residual volumes to sample with.

    Raises:
        ValueError: settings that describe no state.
    """

    geometry: str = "chest"
    donors: int = 0

    def __post_init__(self) -> None:
        if self.size < 16 or self.size % 16 or self.depth < SLABS or self.donors < 0:
            raise ValueError(
                f"size must be a multiple of 16, depth at least {SLABS} and donors 0 or more, got {self.size}, "
                f"{self.depth} and {self.donors}"
            )
        if self.geometry not in PRESETS:
            raise ValueError(f"geometry must be one of {', '.join(PRESETS)}, got {self.geometry!r}")

    @property
    def frustum(self) -> Frustum:
        """Of the network's own cells."""
        return self.frustum_of(self.size // 2, Pose(0.0))

    def frustum_of(self, size: int, pose: Pose) -> Frustum:
        """Of a view of `size` pixels a side."""
        return Frustum(preset(self.geometry, size), pose, self.depth, self.half_depth_mm)


@dataclass(frozen=True, eq=False)
class VolumetricState(State):
    """`chests`: one for each patient. `first`: the view that was lifted, of the observations."""

    chests: tuple[Lifted, ...]
    first: Observation


class VolumetricTransition(Transition):
    """One posed view or several -> a chest -> views from any pose, pitch and roll included.

    Views may have the network's size or a multiple of it; detail that is finer than the network is carried along the
    rays of the view that shows it.
    """

    differentiable = False
    renders = True
    donor_residuals: Tensor
    donor_steps: Tensor
    donor_p: Tensor

    def __init__(self, config: VolumetricConfig) -> None:
        super().__init__()
        self.config = config
        self.network = LiftingNetwork(config)
        rows, columns = config.cells
        # float16 would be twice as large, and the files of a model are float16 throughout
        self.register_buffer(
            "donor_residuals", torch.zeros(config.donors, config.depth, rows, columns, dtype=torch.int8)
        )
        self.register_buffer("donor_steps", torch.ones(config.donors))
        self.register_buffer("donor_p", torch.zeros(config.donors, rows, columns))

    # ------------------------------------------------ the contract

    @property
    def has_sampler(self) -> bool:
        return self.config.donors > 0

    def observe(self, observations: Sequence[Observation]) -> VolumetricState:
        """The first frontal is lifted; further views correct the chest. Without a frontal the mean chest is corrected.

        Raises:
            InputError: views that are not a multiple of the network's size.
        """
        views = [observation.pixels.detach().float().cpu().numpy() for observation in observations]
        size = views[0].shape[-1]
        if size % self.config.size:
            raise InputError(f"the volumetric form takes views of {self.config.size} pixels or a multiple, got {size}")
        frontals = [i for i, observation in enumerate(observations) if _is_frontal(observation.pose)]
        chests = []
        for patient in range(len(views[0])):
            others = list(range(len(views)))
            if frontals:
                others.remove(frontals[0])
                frustum = self.config.frustum_of(size, observations[frontals[0]].pose)
                chest = lifted(self.network, views[frontals[0]][patient], frustum)
            else:
                chest = self.mean_chest(size)
            if others:
                given_p = np.stack([views[i][patient] for i in others])
                chest = agreed(chest, given_p, [observations[i].pose for i in others])
            chests.append(chest)
        first = observations[frontals[0] if frontals else 0]
        return VolumetricState(tuple(observations), tuple(chests), first)

    def predict(self, state: VolumetricState, poses: Sequence[Pose]) -> Views:
        return self._rendered(state, [chest.views(poses) for chest in state.chests], poses)

    def sample(self, state: VolumetricState, poses: Sequence[Pose], noise: Noise) -> Views:
        """Each sample is the mean chest with the detail of a real one (`residual_bank`)."""
        return PixelViews(torch.stack([self.predict(drawn, poses).values for drawn in self.sampled(state, noise)]))

    def sampled(self, state: VolumetricState, noise: Noise) -> list[VolumetricState]:
        return [replace(state, chests=tuple(chests)) for chests in self._drawn(state, noise)]

    def features(self, state: VolumetricState, poses: Sequence[Pose], depth: int | None = None) -> Tensor:
        """The state in coarse cells (b, 1, 64, width): hidden states of the network, and the chest in eight slabs.

        They are of no pose. Depth 0 is before the network's attention, 1 (by default) after.
        """
        depth = checked_depth(depth, 1)
        return self._tokens(state.first.pixels, state.chests, depth)[:, None]

    def given(self, observation: Observation) -> Views:
        return PixelViews(observation.pixels)

    def volume(
        self, state: VolumetricState, shape: tuple[int, int, int], affine: np.ndarray, noise: Noise | None = None
    ) -> np.ndarray:
        if noise is None:
            return np.stack([chest.sampled_mu(shape, affine) for chest in state.chests])
        drawn = self._drawn(state, noise)
        return np.stack([[chest.sampled_mu(shape, affine) for chest in chests] for chests in drawn])

    @property
    def width(self) -> int:
        return self.config.widths[-1] + SLABS

    # ------------------------------------------------ chests

    def mean_chest(self, size: int) -> Lifted:
        """The cohort's mean chest, lifted from its own frontal of `size` pixels a side."""
        mean = self.network.mean.cpu().numpy() + FLOOR
        total = mean.sum(axis=0)
        frustum = self.config.frustum_of(size, Pose(0.0))
        view_p = march(mean / self.config.frustum.sample_mm, self.config.frustum, frustum.geometry, [Pose(0.0)])[0]
        return Lifted(frustum, extended(view_p, frustum, total), (mean / total).astype(np.float32))

    @cached_property
    def bank(self) -> ResidualBank:
        """The donors of detail."""
        steps = self.donor_steps[:, None, None, None]
        return ResidualBank((self.donor_residuals * steps).cpu().numpy(), self.donor_p.cpu().numpy())

    @torch.no_grad()
    def set_bank(self, bank: ResidualBank) -> None:
        """Keep the donors, rounded to 255 steps each; `config.donors` of them."""
        residuals = torch.from_numpy(bank.residuals).float()
        steps = residuals.abs().amax(dim=(1, 2, 3)).clamp(min=1e-6) / 127
        self.donor_steps.copy_(steps)
        self.donor_residuals.copy_((residuals / steps[:, None, None, None]).round())
        self.donor_p.copy_(torch.from_numpy(bank.p))
        self.__dict__.pop("bank", None)

    def _drawn(self, state: VolumetricState, noise: Noise) -> Iterator[list[Lifted]]:
        """The possible chests of all patients, sample after sample."""
        if not self.has_sampler:
            raise UsageError("this volumetric form has no donors of detail, which its sampler draws from")
        if len(state.observations) > 1 or not _is_frontal(state.observations[0].pose):
            raise UsageError("the sampler has learned what one frontal leaves open; give one frontal and nothing else")
        aligned = [self.bank.aligned(chest) for chest in state.chests]
        return (
            [self.bank.sample(c, noise.generator, aligned=a) for c, a in zip(state.chests, aligned, strict=True)]
            for _ in range(noise.samples)
        )

    def _rendered(self, state: VolumetricState, views: Sequence[np.ndarray], poses: Sequence[Pose]) -> PixelViews:
        """Rendered views (t, h, w) of each patient as one tensor; those given stand at their own poses."""
        found = torch.from_numpy(np.stack(views)).to(self.network.mean.device)
        for observation in state.observations:
            for number, pose in enumerate(poses):
                if pose == observation.pose:
                    found[:, number] = observation.pixels
        return PixelViews(found)

    @torch.no_grad()
    def _tokens(self, view_p: Tensor, chests: Sequence[Lifted], depth: int) -> Tensor:
        """(b, n, width), on the detector's part of the grid."""
        small = F.avg_pool2d(view_p[:, None].float(), view_p.shape[-1] // self.config.size)
        hidden = self.network.coarsest(small)[depth]
        slabs = F.adaptive_avg_pool3d(
            torch.from_numpy(np.stack([chest.portions()[:, *chest.frustum.detector] for chest in chests])),
            (SLABS, GRID, GRID),
        ).to(hidden.device)
        scale = self.config.depth / SLABS
        return torch.cat([self._on_detector(hidden), slabs * scale], dim=1).flatten(2).mT

    def _on_detector(self, hidden: Tensor) -> Tensor:
        """(b, c, GRID, GRID): what lies on the detector, in coarse cells."""
        rows, columns = hidden.shape[2:]
        side = round(rows / 1.25)
        top, left = (rows - side) // 2, (columns - side) // 2
        return F.adaptive_avg_pool2d(hidden[:, :, top : top + side, left : left + side], GRID)


def _is_frontal(pose: Pose) -> bool:
    turned = abs((pose.yaw_deg + 90) % 180 - 90)  # from PA or AP, whichever is nearer
    return turned <= FRONTAL_DEG and max(abs(pose.pitch_deg), abs(pose.roll_deg)) <= FRONTAL_DEG
