"""M, the direct form: V's latents of any view, regressed from those of one given view in one pass.

Every view is predicted from the given one, so errors do not add up along the arc. Where the given view leaves the
answer open, the prediction is the mean of the possible ones, and shorter than a real latent. A sampler (`sampler`)
draws from them, and by it further given views correct the prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...core.errors import UsageError
from ...projection.geometry import STANDARD_ARC, Pose
from .base import LatentViews, Noise, Observation, State, Transition, Views, checked_depth, normalised, yaw_angles
from .blocks import ConditionedBlock, angle_features, initialise
from .linear_prior import LinearPrior

FARTHEST_DEG = 90.0  # from the frontal, of the views that the form was trained on


@dataclass(frozen=True)
class DirectConfig:
    """`trunk` blocks read the given view once; `head` blocks are run for each target."""

    tokens: int = 64
    latent_dim: int = 32
    dim: int = 256
    heads: int = 8
    trunk: int = 3
    head: int = 3
    condition_dim: int = 64
    harmonics: int = 6
    prior_inputs: int = 128
    prior_outputs: int = 192


@dataclass(frozen=True, eq=False)
class Seen:
    """A given view after the trunk: its latents (b, n, C), hidden states (b, n, dim) and yaw (b,) in degrees."""

    latents: Tensor
    hidden: Tensor
    yaw_deg: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class DirectState(State):
    """`noise` (b, k): of several given views, what the further ones say of the sampler's noise."""

    seen: Seen
    noise: Tensor | None


class DirectTransition(Transition):
    """Latents (b, n, C) of a given view and poses (yaw only) -> latents of the views from there."""

    state = DirectState

    def __init__(self, config: DirectConfig) -> None:
        super().__init__()
        self.config = config
        dim, condition = config.dim, config.condition_dim
        self.embed = nn.Linear(config.latent_dim, dim)
        self.place = nn.Parameter(torch.randn(config.tokens, dim) * 0.02)
        shape = config.tokens, config.latent_dim
        self.prior = LinearPrior(shape, config.prior_inputs, config.prior_outputs, STANDARD_ARC)
        self.embed_prior = nn.Linear(config.latent_dim, dim)
        angle = 2 * config.harmonics
        self.input_condition = nn.Sequential(
            nn.Linear(angle, condition), nn.SiLU(), nn.Linear(condition, condition), nn.SiLU()
        )
        self.jump_condition = nn.Sequential(
            nn.Linear(3 * angle, condition), nn.SiLU(), nn.Linear(condition, condition), nn.SiLU()
        )
        initialise(self)
        self.trunk = nn.ModuleList(ConditionedBlock(dim, config.heads, condition) for _ in range(config.trunk))
        self.head = nn.ModuleList(ConditionedBlock(dim, config.heads, condition) for _ in range(config.head))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, config.latent_dim)
        # Zero at first: training starts from the linear prior. Angles need larger weights than GPT's 0.02.
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        for sequence in (self.input_condition, self.jump_condition):
            for layer in sequence:
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=layer.in_features**-0.5)

    @property
    def depth(self) -> int:
        """Blocks on the way from a given view to a predicted one."""
        return len(self.trunk) + len(self.head)

    @property
    def width(self) -> int:
        return int(self.config.dim)

    # ------------------------------------------------ the contract

    def observe(self, observations: Sequence[Observation]) -> DirectState:
        yaw_deg = yaw_angles([observation.pose for observation in observations], "direct")
        first, *others = observations
        seen = self.look(first.latents, torch.full((len(first.latents),), yaw_deg[0], device=first.latents.device))
        noise = self._noise_given(seen, [other.latents for other in others], yaw_deg) if others else None
        return DirectState(tuple(observations), seen, noise)

    def predict(self, state: DirectState, poses: Sequence[Pose]) -> Views:
        targets = self._targets(state, poses)
        predicted, _ = self.expected(state.seen, targets)
        if state.noise is not None:
            predicted = predicted + self.sampler.spread(state.noise, targets)
        return LatentViews(_with_given(state, targets, predicted))

    def sample(self, state: DirectState, poses: Sequence[Pose], noise: Noise) -> Views:
        if self.sampler is None:
            raise UsageError("this direct form has no sampler: train the stage `sampler`, or ask without a generator")
        if state.noise is not None:
            raise UsageError("from several given views there is an expectation, and no samples")
        if state.observations[0].pose.yaw_deg != 0.0:
            given = state.observations[0].pose.yaw_deg
            raise UsageError(f"the sampler has learned what a frontal leaves open, not a view at {given:g} degrees")
        targets = self._targets(state, poses)
        vectors = self.sampler.noise(noise.samples, len(targets), generator=noise.generator)
        drawn = self.sampler.sample(*self.expected(state.seen, targets), targets, vectors)
        return LatentViews(_with_given(state, targets, drawn))

    def features(self, state: DirectState, poses: Sequence[Pose], depth: int | None = None) -> Tensor:
        """As the contract says; of the trunk, which knows no target, there is one hidden state (t = 1)."""
        depth, trunk = checked_depth(depth, self.depth), len(self.trunk)
        if depth <= trunk:
            hidden = self.look(state.seen.latents, state.seen.yaw_deg, depth).hidden[:, None]
        else:
            hidden, _ = self._turn(state.seen, self._targets(state, poses), depth - trunk)
        return normalised(hidden, depth, self.depth, self.norm)

    def given(self, observation: Observation) -> Views:
        return LatentViews(observation.latents)

    # ------------------------------------------------ the network, every patient of a batch with its own angles

    def look(self, latents: Tensor, yaw_deg: Tensor, blocks: int | None = None) -> Seen:
        """Run the trunk, or its first `blocks`, on given views: latents (b, n, C), yaw (b,)."""
        condition = self.input_condition(angle_features(yaw_deg, self.config.harmonics))
        hidden = self.embed(latents) + self.place
        for block in self.trunk[:blocks]:
            hidden = block(hidden, condition)
        return Seen(latents, hidden, yaw_deg)

    def expected(self, seen: Seen, target_yaw_deg: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (b, t, n, C) at (b, t) degrees, and the normalised hidden states (b, t, n, dim)."""
        hidden, prior = self._turn(seen, target_yaw_deg)
        hidden = self.norm(hidden)
        return prior + self.out(hidden).float(), hidden

    def _turn(self, seen: Seen, target_yaw_deg: Tensor, blocks: int | None = None) -> tuple[Tensor, Tensor]:
        targets = target_yaw_deg.shape[1]
        given = seen.yaw_deg[:, None].expand_as(target_yaw_deg)
        angles = (target_yaw_deg, given, target_yaw_deg - given)
        features = torch.cat([angle_features(angle, self.config.harmonics) for angle in angles], dim=-1)
        condition = self.jump_condition(features).flatten(0, 1)
        prior = self.prior(seen.latents, seen.yaw_deg, target_yaw_deg)
        hidden = (seen.hidden[:, None] + self.embed_prior(prior)).flatten(0, 1)
        for block in self.head[:blocks]:
            hidden = block(hidden, condition)
        return hidden.unflatten(0, (-1, targets)), prior

    def _targets(self, state: DirectState, poses: Sequence[Pose]) -> Tensor:
        yaw_deg = torch.tensor(yaw_angles(poses, "direct"), device=state.seen.latents.device)
        return yaw_deg.expand(len(state.seen.latents), -1)

    def _noise_given(self, seen: Seen, others: Sequence[Tensor], yaw_deg: Sequence[float]) -> Tensor:
        if self.sampler is None:
            raise UsageError("further given views need a sampler: train the stage `sampler`, or give one view")
        if yaw_deg[0] != 0.0 or any(not 0 < abs(yaw) <= FARTHEST_DEG for yaw in yaw_deg[1:]):
            raise UsageError(
                f"further views are given beside a frontal at 0 degrees, up to {FARTHEST_DEG:g} degrees from it; got a"
                f" view at {yaw_deg[0]:g} and others at {', '.join(f'{yaw:g}' for yaw in yaw_deg[1:])}"
            )
        there = torch.tensor(yaw_deg[1:], device=seen.latents.device)
        predicted, _ = self.expected(seen, there.expand(len(seen.latents), -1))
        return self.sampler.spread.noise_given(torch.stack(list(others), dim=1) - predicted, there)


def _with_given(state: DirectState, targets: Tensor, predicted: Tensor) -> Tensor:
    """The given views in the place of those predicted (..., b, t, n, C) for their own angles."""
    for observation in state.observations:
        there = (targets == observation.pose.yaw_deg)[..., None, None]
        predicted = torch.where(there, observation.latents[:, None].to(predicted.dtype), predicted)
    return predicted
