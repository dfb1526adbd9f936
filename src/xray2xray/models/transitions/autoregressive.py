"""M, the paper's form: a GPT that reads the tokens of a view and an action, and writes those of the next view.

The paper rolls out: in steps of 5 degrees both ways, each predicted view the input of the next step. With an action for
every multiple of 5 degrees instead, each view is predicted from the given one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import InputError, UsageError
from ...projection.geometry import Pose
from .base import Noise, Observation, State, TokenViews, Transition, Views, checked_depth, normalised, yaw_angles
from .blocks import CausalBlock, KeyValueCache, initialise, initialise_gpt

STEP_DEG = 5.0
MAX_OFFSET = 36  # steps between the ends of the standard arc
FARTHEST_DEG = 90.0  # of the standard arc, which every view of the training is on
TOGETHER = 12  # views predicted from the given one at a time: bounds the memory of their caches
Read = Callable[[Tensor, int], Tensor]  # tokens (b, w) and a place -> logits (b, w - place + 1, K) of tokens place .. w


@dataclass(frozen=True)
class AutoregressiveConfig:
    """`context_views` = 1 is the paper; with more, the given view stays in the context as an anchor against drift.

    `actions`: `direction` is the paper, one of two tokens for a step either way; with `jump` there is a token for every
    multiple of 5 degrees, and each view is predicted from the given one.
    """

    tokens: int = 64
    codebook_size: int = 2048
    dim: int = 256
    heads: int = 8
    layers: int = 6
    context_views: int = 1
    actions: str = "direction"

    def __post_init__(self) -> None:
        if self.actions not in ("direction", "jump"):
            raise ValueError(f"there are no actions {self.actions!r}; choose direction or jump")
        if self.actions == "jump" and self.context_views != 1:
            raise ValueError(
                "with actions jump each view is predicted from the given one alone: context_views must be 1"
            )


class AutoregressiveTransition(Transition):
    """Sequence: tokens of the context views (the latest last), the action's token, tokens of the next view.

    The paper's two direction tokens turn the source by -5 and +5 degrees. One thing is added to the paper: where a
    token is to be written, the latest view's token at the same place is added to the input, since after 5 degrees
    little has moved.
    """

    differentiable = False

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.embed = nn.Embedding(config.codebook_size, dim)
        self.direction = nn.Embedding(2 if config.actions == "direction" else 2 * MAX_OFFSET + 1, dim)
        self.same_place = nn.Linear(dim, dim, bias=False)
        self.offset = nn.Embedding(2 * MAX_OFFSET + 1, dim)
        self.place = nn.Parameter(torch.randn(config.tokens, dim) * 0.02)
        self.role = nn.Parameter(torch.randn(2, dim) * 0.02)  # given or written
        self.blocks = nn.ModuleList(CausalBlock(dim, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(dim)
        initialise(self)
        initialise_gpt(self.blocks)
        nn.init.zeros_(self.offset.weight)
        nn.init.eye_(self.same_place.weight)

    @property
    def length(self) -> int:
        """Positions of a whole sequence."""
        return (self.config.context_views + 1) * self.config.tokens + 1

    @property
    def width(self) -> int:
        return int(self.config.dim)

    @property
    def direct(self) -> bool:
        """Whether each view is predicted from the given one, instead of by the paper's roll-out."""
        return bool(self.config.actions == "jump")

    @property
    def step_deg(self) -> float:
        return 0.0 if self.direct else STEP_DEG

    # ------------------------------------------------ the contract

    @property
    def has_sampler(self) -> bool:
        return True  # tokens are drawn

    def observe(self, observations: Sequence[Observation]) -> State:
        yaw_angles([observation.pose for observation in observations], "autoregressive")
        if len(observations) > 1:
            raise UsageError(
                "the autoregressive form takes one given view; use the volumetric form, or direct with a sampler"
            )
        return State(tuple(observations))

    def predict(self, state: State, poses: Sequence[Pose]) -> Views:
        return TokenViews(self._predict(state, poses, 1, None))

    def sample(self, state: State, poses: Sequence[Pose], noise: Noise) -> Views:
        """As the contract says; the tokens of other poses are drawn anew, so a seed is a chest for these poses only."""
        drawn = self._predict(state, poses, noise.samples, noise.generator)
        return TokenViews(drawn.unflatten(0, (noise.samples, -1)))

    def features(self, state: State, poses: Sequence[Pose], depth: int | None = None) -> Tensor:
        """Of the view at each pose: the hidden states that write it, at the end of the roll-out to there."""
        blocks = len(self.blocks)
        depth, steps = checked_depth(depth, blocks), self._steps(state, poses)
        if 0 in steps:
            raise UsageError("the autoregressive form has no hidden states at the given view's own angle; leave it out")
        reached, found = self.roll_out(state.observations[0].tokens, steps), []
        for step in steps:
            context, offsets, turn_deg = self._move_to(step, reached)
            found.append(self.states(context, self.action_token(turn_deg), reached[step], offsets, depth))
        return normalised(torch.stack(found, dim=1), depth, blocks, self.norm)

    def given(self, observation: Observation) -> Views:
        return TokenViews(observation.tokens)

    def nearby(self, pose: Pose) -> list[Pose]:
        return [Pose(pose.yaw_deg - STEP_DEG), Pose(pose.yaw_deg + STEP_DEG)]

    # ------------------------------------------------ the roll-out

    def roll_out(
        self, start: Tensor, steps: Sequence[int], generator: torch.Generator | None = None
    ) -> dict[int, Tensor]:
        """Tokens (b, n) by their step of 5 degrees from the given view's (at 0): those of `steps` and of all between.

        Raises:
            InputError: farther from the given view than any training pair.
        """
        caches = self.caches()  # once: the first batch is the largest
        reached: dict[int, Tensor] = {0: start}
        for together in self._in_turn(steps):
            moves = [self._move_to(step, reached) for step in together]
            context, turn_deg = torch.cat([move[0] for move in moves]), torch.cat([move[2] for move in moves])
            anchored = [offsets for _, offsets, _ in moves if offsets is not None]
            offsets = torch.cat(anchored) if anchored else None
            following = self.write(context, turn_deg, offsets, generator, caches)
            reached.update(zip(together, following.split(len(start)), strict=True))
        return reached

    def _predict(self, state: State, poses: Sequence[Pose], samples: int, generator: torch.Generator | None) -> Tensor:
        steps = self._steps(state, poses)
        reached = self.roll_out(state.observations[0].tokens.repeat(samples, 1), steps, generator)
        return torch.stack([reached[step] for step in steps], dim=1)

    def _steps(self, state: State, poses: Sequence[Pose]) -> list[int]:
        """How many steps each pose is away from the given view."""
        given, *yaw_deg = yaw_angles([state.observations[0].pose, *poses], "autoregressive")
        steps = [round((yaw - given) / STEP_DEG) for yaw in yaw_deg]
        for step, yaw in zip(steps, yaw_deg, strict=True):
            if abs(step * STEP_DEG - (yaw - given)) > 1e-3:
                raise UsageError(
                    f"the autoregressive form turns in steps of {STEP_DEG:g} degrees and cannot reach {yaw - given:g};"
                    " ask for other angles or use the direct form"
                )
        if self.direct and max(map(abs, (given, *yaw_deg))) > FARTHEST_DEG:
            raise UsageError(f"this form was trained within {FARTHEST_DEG:g} degrees of the frontal only")
        return steps

    def _in_turn(self, steps: Sequence[int]) -> list[list[int]]:
        """Which steps are written together, and after which others: both ways at once, or some views at a time."""
        if self.direct:
            targets = sorted({*steps} - {0})
            if targets and max(map(abs, targets)) > MAX_OFFSET:
                raise InputError(f"this form turns by up to {MAX_OFFSET * STEP_DEG:g} degrees; ask for less")
            return [targets[i : i + TOGETHER] for i in range(0, len(targets), TOGETHER)]
        farthest = max((abs(step) for step in steps), default=0)
        return [
            [way * distance for way in (-1, 1) if any(step * way >= distance for step in steps)]
            for distance in range(1, farthest + 1)
        ]

    def _move_to(self, step: int, reached: dict[int, Tensor]) -> tuple[Tensor, Tensor | None, Tensor]:
        """The input that writes the view of a step: context (b, views, n), the latest view last; its offsets from that
        (b, views), none for a single view; and the turn (b,) in degrees."""
        way = 1 if step > 0 else -1
        latest = 0 if self.direct else abs(step) - 1
        seen = context_steps(latest, self.config.context_views)
        views = torch.stack([reached[way * before] for before in seen], dim=1)
        turn_deg = torch.full((len(views),), STEP_DEG * (step - way * latest), device=views.device)
        if len(seen) == 1:
            return views, None, turn_deg
        offsets = torch.tensor([way * (before - latest) for before in seen], device=views.device)
        return views, offsets.expand(len(views), -1), turn_deg

    # ------------------------------------------------ the network

    def action_token(self, turn_deg: Tensor) -> Tensor:
        """The token (b,) of turning the source by (b,) degrees."""
        if self.config.actions == "direction":
            return (turn_deg > 0).long()
        return (turn_deg / STEP_DEG).round().long().clamp(-MAX_OFFSET, MAX_OFFSET) + MAX_OFFSET

    def forward(self, context: Tensor, action: Tensor, following: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Logits (b, n, K) of the next view's tokens while it is being read (teacher forcing).

        Args:
            context: (b, views, n) tokens, the latest view last.
            action: (b,) tokens, see `action_token`.
            following: (b, n) tokens of the next view.
            offsets: (b, views) how many steps of +5 degrees each context view lies from the latest; zeros if None.
        """
        return self._logits(self.states(context, action, following, offsets))

    def states(
        self,
        context: Tensor,
        action: Tensor,
        following: Tensor,
        offsets: Tensor | None = None,
        depth: int | None = None,
    ) -> Tensor:
        """Hidden states (b, n, dim) after `depth` blocks (all by default), each where a token of the next view is to be
        written; it has read the context, the action and the tokens before. Arguments as `forward`."""
        shown = self.same_place(self.embed(context[:, -1]))
        prompt = self._prompt(context, action, shown, offsets)
        written = self._written(following[:, :-1], shown, start=0)
        hidden = torch.cat([prompt, written], dim=1)
        for block in self.blocks[:depth]:
            hidden = block(hidden)
        return hidden[:, prompt.shape[1] - 1 :]

    def reader(
        self,
        context: Tensor,
        action: Tensor,
        offsets: Tensor | None = None,
        caches: list[KeyValueCache] | None = None,
    ) -> Read:
        """What reads the next view while it is being written: see `forward` for context, action and offsets.

        Returns:
            a function of the tokens (b, w) written so far and a place: the logits (b, w - place + 1, K) of the tokens
            at place .. w. Without caches it reads everything anew. With them it reads only from the token before that
            place on: what it has left there of the prompt and of the tokens before is used again.
        """
        shown = self.same_place(self.embed(context[:, -1]))
        prompt = self._prompt(context, action, shown, offsets)

        def read(written: Tensor, place: int) -> Tensor:
            first = max(0, place - 1) if caches else 0
            hidden = self._written(written[:, first:], shown, first)
            known = prompt.shape[1] + first
            if place == 0 or not caches:
                hidden, known = torch.cat([prompt, hidden], dim=1), 0
            for cache in caches or ():
                cache.rewind(known)
            for block, cache in zip_longest(self.blocks, caches or ()):
                hidden = block(hidden, cache)
            return self._logits(hidden[:, place - written.shape[1] - 1 :])

        return read

    def caches(self) -> list[KeyValueCache]:
        """Buffers for `write`; a roll-out makes them once."""
        return [KeyValueCache(self.length) for _ in self.blocks]

    @torch.no_grad()
    def write(
        self,
        context: Tensor,
        turn_deg: Tensor,
        offsets: Tensor | None = None,
        generator: torch.Generator | None = None,
        caches: list[KeyValueCache] | None = None,
    ) -> Tensor:
        """Tokens (b, n) of the view after turning by (b,) degrees; greedy, or drawn from the softmax by a generator.

        Args:
            context, offsets: see `forward`.
            caches: from `caches()`, for a batch of this size or a larger one; new ones if None.
        """
        read = self.reader(context, self.action_token(turn_deg), offsets, caches or self.caches())
        written = context[:, -1, :0]
        for place in range(self.config.tokens):
            written = torch.cat([written, _pick(read(written, place)[:, -1], generator)[:, None]], dim=1)
        return written

    def _prompt(self, context: Tensor, action: Tensor, shown: Tensor, offsets: Tensor | None) -> Tensor:
        views = self.embed(context) + self.place + self.role[0]
        if offsets is not None:
            views = views + self.offset(offsets.clamp(-MAX_OFFSET, MAX_OFFSET) + MAX_OFFSET)[:, :, None]
        turned = self.direction(action)[:, None] + shown[:, :1]
        return torch.cat([views.flatten(1, 2), turned], dim=1)

    def _written(self, tokens: Tensor, shown: Tensor, start: int) -> Tensor:
        """Embed written tokens start, start + 1, ...; each adds the latest view's token at the next place."""
        end = start + tokens.shape[1]
        return self.embed(tokens) + shown[:, start + 1 : end + 1] + self.place[start:end] + self.role[1]

    def _logits(self, hidden: Tensor) -> Tensor:
        return F.linear(self.norm(hidden), self.embed.weight).float()


def context_steps(latest: int, views: int) -> list[int]:
    """Which of the views 0 (given) .. `latest` are the context: the given one, and the last ones up to the latest."""
    return [0] * (views > 1) + [max(0, latest - back) for back in range(max(1, views - 1) - 1, -1, -1)]


def _pick(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return logits.argmax(dim=-1)
    chances = logits.softmax(dim=-1).cpu()
    return torch.multinomial(chances, 1, generator=generator)[:, 0].to(logits.device)
