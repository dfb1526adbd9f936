"""M, the volumetric form: how the attenuation that each ray of a view has measured is distributed along that ray.

The state is a chest on a grid that follows the rays of the given view (`projection.lifted`). The given view is
reproduced by construction, all views are of one chest by construction, and turning it is the projector's work.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.errors import InputError, UsageError
from ...projection.frustum import FRONTAL, Frustum, march
from ...projection.geometry import PRESETS, Geometry, Pose, preset
from ...projection.lifted import Lifted, extended, extended_batch, lifted_views
from ...reconstruction.lifted import agreed
from ..vision.vqgan import VisionModel
from .base import Noise, Observation, PixelViews, State, Transition, Views, checked_depth
from .deviations import Deviations, coarse_cells
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
        donors: residual volumes to sample with, for detail.
        deviations: of chests from what was expected of them, to sample with, for what is coarse.

    Raises:
        ValueError: settings that describe no state.
    """

    geometry: str = "chest"
    donors: int = 0
    deviations: int = 0

    def __post_init__(self) -> None:
        if self.size < 16 or self.size % 16 or self.depth < SLABS or min(self.donors, self.deviations) < 0:
            raise ValueError(
                f"size must be a multiple of 16, depth at least {SLABS}, donors and deviations 0 or more, got "
                f"{self.size}, {self.depth}, {self.donors} and {self.deviations}"
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


@dataclass(frozen=True, eq=False, repr=False)
class VolumetricState(State):
    """`first`: the view that is lifted, of the observations. `lift`: lifts it."""

    first: Observation
    lift: Callable[[], tuple[Lifted, ...]]

    @cached_property
    def chests(self) -> tuple[Lifted, ...]:
        """One for each patient, when they are first asked for: features of a single view do without."""
        return self.lift()


class VolumetricTransition(Transition):
    """One posed view or several -> a chest -> views from any pose, pitch and roll included.

    Views may have the network's size or a multiple of it; detail that is finer than the network is carried along the
    rays of the view that shows it.
    """

    differentiable = False
    renders = True
    state = VolumetricState
    donor_residuals: Tensor
    donor_steps: Tensor
    donor_p: Tensor
    deviation_logs: Tensor
    deviation_steps: Tensor

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
        coarse = coarse_cells((config.depth, rows, columns))
        self.register_buffer("deviation_logs", torch.zeros(config.deviations, *coarse, dtype=torch.int8))
        self.register_buffer("deviation_steps", torch.ones(config.deviations))

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
        first = observations[frontals[0] if frontals else 0]
        state = VolumetricState(tuple(observations), first, lambda: self._chests(observations, views, frontals))
        if len(observations) > 1:
            _ = state.chests  # views that do not agree are refused here
        return state

    def _chests(
        self, observations: Sequence[Observation], views: Sequence[np.ndarray], frontals: Sequence[int]
    ) -> tuple[Lifted, ...]:
        size, chests = views[0].shape[-1], []
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
        return tuple(chests)

    def predict(self, state: VolumetricState, poses: Sequence[Pose]) -> Views:
        return self._rendered(state, [chest.views(poses) for chest in state.chests], poses)

    def imagined(self, view_p: Tensor, pose: Pose, poses: Sequence[Pose], vision: VisionModel) -> Tensor:
        """As `predict` of one PA view: through the network, and through the projector that turns the chest.

        Raises:
            UsageError: a view from another pose.
        """
        if not _is_frontal(pose) or np.cos(np.radians(pose.yaw_deg)) < 0:
            raise UsageError("gradients are of a PA view; give one, or flip an AP one")
        size = view_p.shape[-1]
        frustum = self.config.frustum_of(size, pose)
        w, p = self.network.distribution(F.avg_pool2d(view_p[:, None], size // self.config.size), mirrored=True)
        views = lifted_views(extended_batch(view_p, frustum, p), w, frustum, poses)
        given = torch.tensor([one == pose for one in poses], device=view_p.device)
        return torch.where(given[:, None, None], view_p[:, None], views)

    def sample(self, state: VolumetricState, poses: Sequence[Pose], noise: Noise) -> Views:
        """Each sample is the mean chest, changed as chests deviate from it, with a real one's detail.

        See `deviations` and `residual_bank`.
        """
        return PixelViews(torch.stack([self.predict(drawn, poses).values for drawn in self.sampled(state, noise)]))

    def sampled(self, state: VolumetricState, noise: Noise) -> list[VolumetricState]:
        return [replace(state, lift=partial(tuple, chests)) for chests in self._drawn(state, noise)]

    def features(self, state: VolumetricState, poses: Sequence[Pose], depth: int | None = None) -> Tensor:
        """The state in coarse cells (b, 1, 64, width): hidden states of the network, and the chest in eight slabs.

        They are of no pose. Depth 0 is before the network's attention, 1 (by default) after. Of a single PA view the
        slabs are those of one pass of the network; a chest is the mean of two, one with the mirror image.
        """
        depth = checked_depth(depth, 1)
        pose = state.first.pose
        if len(state.observations) == 1 and _is_frontal(pose) and np.cos(np.radians(pose.yaw_deg)) > 0:
            return self._tokens_of_view(state.first.pixels, pose, depth)[:, None]
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

    def mean_depth(self, geometry: Geometry) -> tuple[np.ndarray, Frustum]:
        frustum = Frustum(geometry, FRONTAL, self.config.depth, self.config.half_depth_mm)
        return self.network.mean.cpu().numpy(), frustum

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
        return ResidualBank(_from_steps(self.donor_residuals, self.donor_steps), self.donor_p.cpu().numpy())

    @torch.no_grad()
    def set_bank(self, bank: ResidualBank) -> None:
        """Keep the donors, rounded to 255 steps each; `config.donors` of them."""
        _to_steps(bank.residuals, self.donor_residuals, self.donor_steps)
        self.donor_p.copy_(torch.from_numpy(bank.p))
        self.__dict__.pop("bank", None)

    @cached_property
    def deviations(self) -> Deviations | None:
        """How chests deviate from what is expected of them."""
        if not self.config.deviations:
            return None
        return Deviations(_from_steps(self.deviation_logs, self.deviation_steps))

    @torch.no_grad()
    def set_deviations(self, deviations: Deviations) -> None:
        """Keep them, rounded to 255 steps each; `config.deviations` of them."""
        _to_steps(deviations.logs, self.deviation_logs, self.deviation_steps)
        self.__dict__.pop("deviations", None)

    def _drawn(self, state: VolumetricState, noise: Noise) -> Iterator[list[Lifted]]:
        """The possible chests of all patients, sample after sample."""
        if not self.has_sampler:
            raise UsageError("this volumetric form has no donors of detail, which its sampler draws from")
        if len(state.observations) > 1 or not _is_frontal(state.observations[0].pose):
            raise UsageError("the sampler has learned what one frontal leaves open; give one frontal and nothing else")
        aligned = [self.bank.aligned(chest) for chest in state.chests]
        return (
            [self._possible(chest, known, noise.generator) for chest, known in zip(state.chests, aligned, strict=True)]
            for _ in range(noise.samples)
        )

    def _possible(self, chest: Lifted, aligned: tuple[Tensor, Tensor], generator: torch.Generator) -> Lifted:
        if self.deviations is not None:
            chest = self.deviations.sample(chest, generator)
        return self.bank.sample(chest, generator, aligned=aligned)

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

    @torch.no_grad()
    def _tokens_of_view(self, view_p: Tensor, pose: Pose, depth: int) -> Tensor:
        """As `_tokens`, of a chest that is what one pass of the network makes of the view."""
        view_p = view_p[:, None].float()
        hidden, w = self.network.read(F.avg_pool2d(view_p, view_p.shape[-1] // self.config.size))
        frustum = self.config.frustum_of(view_p.shape[-1], pose)
        scale = self.config.depth / SLABS
        slabs = F.adaptive_avg_pool3d(w, (SLABS, *w.shape[2:])) * scale
        shares = F.interpolate(slabs, size=frustum.shape[1:], mode="bilinear", align_corners=False)
        measured = F.adaptive_avg_pool2d(shares[:, :, *frustum.detector] * view_p, GRID)
        return torch.cat([self._on_detector(hidden[depth]), measured], dim=1).flatten(2).mT

    def _on_detector(self, hidden: Tensor) -> Tensor:
        """(b, c, GRID, GRID): what lies on the detector, in coarse cells."""
        rows, columns = hidden.shape[2:]
        side = round(rows / 1.25)
        top, left = (rows - side) // 2, (columns - side) // 2
        return F.adaptive_avg_pool2d(hidden[:, :, top : top + side, left : left + side], GRID)


def _to_steps(values: np.ndarray, steps: Tensor, size: Tensor) -> None:
    """Round values (n, ...) to whole `steps`, int8, each of the n with its own `size` of a step."""
    given = torch.from_numpy(values).float()
    sizes = given.flatten(1).abs().amax(dim=1).clamp(min=1e-6) / 127
    size.copy_(sizes)
    steps.copy_((given / sizes.reshape(-1, *(1,) * (given.ndim - 1))).round())


def _from_steps(steps: Tensor, size: Tensor) -> np.ndarray:
    return np.asarray((steps * size.reshape(-1, *(1,) * (steps.ndim - 1))).cpu().numpy())


def _is_frontal(pose: Pose) -> bool:
    turned = abs((pose.yaw_deg + 90) % 180 - 90)  # from PA or AP, whichever is nearer
    return turned <= FRONTAL_DEG and max(abs(pose.pitch_deg), abs(pose.roll_deg)) <= FRONTAL_DEG
