"""M, the direct form: the latents of any view from those of one, in a single jump.

Nothing drifts, because every view is predicted from the given one; the model regresses, so where the given view leaves
the answer open the prediction is the mean of the possible ones, and shorter than a real latent.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .action import Action
from .blocks import ConditionedBlock, angle_features, initialise
from .linear_prior import LinearPrior

# The standard arc, written out: models know nothing of projectors (a test holds the two together).
ARC_DEG = tuple(float(yaw) for yaw in range(-90, 91, 5))


@dataclass(frozen=True)
class DirectConfig:
    """`trunk` blocks look at the given view once; `head` blocks are run for each target."""

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


@dataclass(frozen=True)
class Observation:
    """A given view as the trunk sees it: its latents, hidden states (b, n, dim) and angle (b,)."""

    latents: Tensor
    hidden: Tensor
    yaw_deg: Tensor


class DirectTransition(nn.Module):
    """Latents (b, n, C) of a view and an action -> latents of the view after it."""

    def __init__(self, config: DirectConfig) -> None:
        super().__init__()
        self.config = config
        dim, condition = config.dim, config.condition_dim
        self.embed = nn.Linear(config.latent_dim, dim)
        self.place = nn.Parameter(torch.randn(config.tokens, dim) * 0.02)
        self.prior = LinearPrior((config.tokens, config.latent_dim), config.prior_inputs, config.prior_outputs, ARC_DEG)
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
        # Zero at first: training starts from the linear prior. Angles need more than GPT's 0.02 to be heard.
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        for sequence in (self.input_condition, self.jump_condition):
            for layer in sequence:
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=layer.in_features**-0.5)

    @property
    def depth(self) -> int:
        """Blocks on the way from a view to its turned latents."""
        return len(self.trunk) + len(self.head)

    def observe(self, latents: Tensor, yaw_deg: Tensor, blocks: int | None = None) -> Observation:
        """Run the trunk, or its first `blocks`, on a given view: latents (b, n, C), yaw (b,)."""
        condition = self.input_condition(angle_features(yaw_deg, self.config.harmonics))
        hidden = self.embed(latents) + self.place
        for block in self.trunk[:blocks]:
            hidden = block(hidden, condition)
        return Observation(latents, hidden, yaw_deg)

    def imagine(self, seen: Observation, target_yaw_deg: Tensor) -> Tensor:
        """Hidden states (b, t, n, dim) of t targets each, (b, t) degrees."""
        return self._look(seen, target_yaw_deg)[0]

    def states(self, latents: Tensor, yaw_deg: Tensor, target_yaw_deg: Tensor, depth: int) -> Tensor:
        """Hidden states (b, t, n, dim) after `depth` blocks, counted through trunk and head, of (b, t) targets.

        The trunk knows no target: up to its end t is 1.
        """
        trunk = len(self.trunk)
        seen = self.observe(latents, yaw_deg, min(depth, trunk))
        return seen.hidden[:, None] if depth <= trunk else self._look(seen, target_yaw_deg, depth - trunk)[0]

    def predict(self, seen: Observation, target_yaw_deg: Tensor) -> Tensor:
        """Latents (b, t, n, C) of t targets each, (b, t) degrees."""
        return self.predict_and_imagine(seen, target_yaw_deg)[0]

    def predict_and_imagine(self, seen: Observation, target_yaw_deg: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (b, t, n, C), and the normalised hidden states (b, t, n, dim) that they were read from."""
        hidden, prior = self._look(seen, target_yaw_deg)
        hidden = self.norm(hidden)
        return prior + self.out(hidden).float(), hidden

    def step(self, latents: Tensor, action: Action) -> Tensor:
        """Latents (b, n, C) of a view -> latents (b, n, C) of the view after the action."""
        seen = self.observe(latents, action.input_yaw_deg)
        return self.predict(seen, action.target_yaw_deg[:, None])[:, 0]

    def _look(self, seen: Observation, target_yaw_deg: Tensor, blocks: int | None = None) -> tuple[Tensor, Tensor]:
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
