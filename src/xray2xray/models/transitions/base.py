"""The contract of M, the transition model: from given views to the views from other poses.

A form observes posed views once, keeps a state of them, and predicts or samples any number of views from it. What is
given and what is predicted are `Views`: pixels, V's latents or V's tokens, each of which becomes the others by V.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import UsageError
from ...projection.frustum import Frustum
from ...projection.geometry import Geometry, Pose
from ..vision.normalise import from_network, to_network
from ..vision.vqgan import VisionModel

CHUNK = 64  # views in one pass through V: bounds memory


@dataclass(frozen=True, eq=False)
class Views(ABC):
    """Views of chests, any number of leading dimensions, on V's device; indexing selects among these."""

    values: Tensor

    def __getitem__(self, index: Any) -> Self:
        return type(self)(self.values[index])

    def __repr__(self) -> str:
        return f"{type(self).__name__}{tuple(self.values.shape)}"

    @abstractmethod
    def latents(self, vision: VisionModel) -> Tensor:
        """V's latents (..., n, C)."""

    def tokens(self, vision: VisionModel) -> Tensor:
        """V's tokens (..., n) int64."""
        return vision.tokens(self.latents(vision))

    def pixels(self, vision: VisionModel) -> Tensor:
        """Line integrals p (..., h, w), decoded by V."""
        latents = self.latents(vision)
        parts = [from_network(vision.decode(part)) for part in latents.flatten(0, -3).split(CHUNK)]
        return torch.cat(parts)[:, 0].unflatten(0, latents.shape[:-2])


class LatentViews(Views):
    """Views as V's latents (..., n, C), not quantised."""

    def latents(self, vision: VisionModel) -> Tensor:
        return self.values


class TokenViews(Views):
    """Views as V's tokens (..., n)."""

    def latents(self, vision: VisionModel) -> Tensor:
        return vision.codebook.lookup(self.values)

    def tokens(self, vision: VisionModel) -> Tensor:
        return self.values


class PixelViews(Views):
    """Views as line integrals p (..., h, w): a radiograph, or what a form has rendered without V."""

    def latents(self, vision: VisionModel) -> Tensor:
        x = to_network(self.values.flatten(0, -3))[:, None]
        if x.shape[-1] > vision.config.size:
            x = F.avg_pool2d(x, x.shape[-1] // vision.config.size)
        return torch.cat([vision.encode(part) for part in x.split(CHUNK)]).unflatten(0, self.values.shape[:-2])

    def pixels(self, vision: VisionModel) -> Tensor:
        return self.values


@dataclass(frozen=True, eq=False)
class Observation:
    """One given view of each of b patients, all from one pose; V encodes them when first asked, and once."""

    views: Views
    pose: Pose
    vision: VisionModel

    @property
    def pixels(self) -> Tensor:
        """Line integrals p (b, h, w)."""
        return self.views.pixels(self.vision)

    @cached_property
    def latents(self) -> Tensor:
        """(b, n, C)."""
        return self.views.latents(self.vision)

    @cached_property
    def tokens(self) -> Tensor:
        """(b, n) int64."""
        if isinstance(self.views, PixelViews):
            return self.vision.tokens(self.latents)
        return self.views.tokens(self.vision)


@dataclass(frozen=True, eq=False)
class State:
    """What a form keeps of the given views; every form adds its own fields."""

    observations: tuple[Observation, ...]

    def __repr__(self) -> str:
        views = ", ".join(f"{len(one.views.values)} x yaw {one.pose.yaw_deg:g}" for one in self.observations)
        return f"{type(self).__name__}({views})"


@dataclass(frozen=True)
class Noise:
    """What makes samples differ: that many of them, drawn by a generator. A seed gives the same samples."""

    samples: int
    generator: torch.Generator


class Transition(nn.Module, ABC):
    """A form of M. Its methods pass gradients on; `WorldModel` calls them without.

    A network is built from its configuration alone, which it keeps as `config`.

    Attributes:
        differentiable: whether `features` pass gradients on to V.
        renders: whether views are rendered from a chest, of which `volume` tells; V is then not on their way, and they
            may be of a multiple of its size.
        state: what `observe` returns.
        sampler: a trained part of its own (see `with_sampler`), of the forms that need one to be sampled from.
    """

    config: Any
    differentiable = True
    renders = False
    state: type[State] = State
    sampler: Any = None

    @abstractmethod
    def observe(self, observations: Sequence[Observation]) -> State:
        """The state of patients from one given view each, or from several.

        Raises:
            UsageError: this form cannot use so many views, or views from these poses.
        """

    @abstractmethod
    def predict(self, state: Any, poses: Sequence[Pose]) -> Views:
        """The expected views (b, t, ...) from t poses; at the pose of a given view that view (see `given`).

        Raises:
            InputError, UsageError: this form cannot reach a pose.
        """

    def imagined(self, view_p: Tensor, pose: Pose, poses: Sequence[Pose], vision: VisionModel) -> Tensor:
        """Expected views (b, t, h, w) from given ones (b, h, w) that were taken at `pose`, with gradients to them.

        Raises:
            UsageError: this form has none.
        """
        views = self.predict(self.observe([Observation(PixelViews(view_p), pose, vision)]), poses).pixels(vision)
        if view_p.requires_grad and not views.requires_grad:
            raise UsageError("this form predicts discrete tokens, through which there is no gradient; use another form")
        return views

    @abstractmethod
    def sample(self, state: Any, poses: Sequence[Pose], noise: Noise) -> Views:
        """Views (samples, b, t, ...) of possible chests; all views of a sample belong to one chest.

        Raises:
            InputError, UsageError: as `predict`, or there is nothing to sample with.
        """

    def sampled(self, state: Any, noise: Noise) -> list[Any]:
        """The states of possible chests, one a sample: what `sample` shows, for any number of further views.

        Raises:
            UsageError: this form draws views, not chests, or there is nothing to sample with.
        """
        raise UsageError("this form draws views, not chests; call sample with all poses at once")

    @property
    def has_sampler(self) -> bool:
        """Whether `sample` has something to draw with."""
        return self.sampler is not None

    @abstractmethod
    def features(self, state: Any, poses: Sequence[Pose], depth: int | None = None) -> Tensor:
        """Hidden-state features (b, t or 1, n, width) on the way to t poses; n is a square grid, row by row.

        Args:
            depth: blocks passed, 0 to all of them (by default).

        Raises:
            InputError, UsageError: as `predict`, or there is no such depth.
        """

    @abstractmethod
    def given(self, observation: Observation) -> Views:
        """A given view (b, ...) as this form keeps it: all that is lost before anything is predicted."""

    def volume(
        self, state: Any, shape: tuple[int, int, int], affine: np.ndarray, noise: Noise | None = None
    ) -> np.ndarray:
        """Attenuation per mm of the state, float32 (b, *shape), on a grid: voxel index -> RAS mm about the isocentre.

        With noise of the chests that `sample` draws, (samples, b, *shape).

        Raises:
            UsageError: this form keeps no chest; reconstruct one from its views.
        """
        raise UsageError("this form keeps no chest to be cut into voxels; reconstruct one from its predicted views")

    def mean_depth(self, geometry: Geometry) -> tuple[np.ndarray, Frustum] | None:
        """How the average patient's attenuation lies along the rays of a frontal, of forms that keep a chest.

        Returns:
            The training cohort's mean line integral in each cell of a lifted frontal (depth, rows, columns), and the
            grid of frontals of that geometry, whose cells may be finer; None of a form that keeps no chest.
        """
        return None

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers of one token in the features."""

    @property
    def step_deg(self) -> float:
        """Degrees of one step, where a view is predicted from the one a step before; 0 where from the given ones."""
        return 0.0

    def nearby(self, pose: Pose) -> list[Pose]:
        """The predicted views that the features of a view from this pose are of, if nothing else is asked for."""
        return [across(pose)]

    def with_sampler(self, sampler: nn.Module | None) -> Self:
        """The same network, weights shared, together with its sampler."""
        joined = copy.copy(self)
        # Past nn.Module: registered as a submodule, its weights would be saved with this part's.
        object.__setattr__(joined, "sampler", sampler)
        return joined


def across(pose: Pose) -> Pose:
    """The pose a quarter turn away on the standard arc: of a frontal the left lateral, of that the frontal."""
    return Pose(pose.yaw_deg + 90.0 if pose.yaw_deg <= 0 else pose.yaw_deg - 90.0)


def yaw_angles(poses: Sequence[Pose], form: str) -> list[float]:
    """The yaw of each pose, for forms that know no other parameter of it.

    Raises:
        UsageError: a pose has pitch, roll or a shift.
    """
    for pose in poses:
        if any(pose.parameters[1:]):
            raise UsageError(f"the {form} form predicts upright views, by yaw alone; leave out pitch, roll and shift")
    return [float(pose.yaw_deg) for pose in poses]


def checked_depth(depth: int | None, blocks: int) -> int:
    """The depth itself, all `blocks` for None.

    Raises:
        UsageError: there is no such depth.
    """
    if depth is not None and not 0 <= depth <= blocks:
        raise UsageError(f"there is no depth {depth}: this transition has {blocks} blocks, choose 0 to {blocks}")
    return blocks if depth is None else depth


def normalised(hidden: Tensor, depth: int, blocks: int, norm: nn.Module) -> Tensor:
    """Hidden states (..., dim) on one scale: the learned norm belongs to the states of the last block only."""
    return norm(hidden) if depth == blocks else F.layer_norm(hidden, hidden.shape[-1:])
