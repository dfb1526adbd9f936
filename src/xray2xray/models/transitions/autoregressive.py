"""M, the paper's form: a GPT that reads the tokens of a view and an action, and writes those of the next view."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.errors import UsageError
from .action import Action
from .blocks import CausalBlock, KeyValueCache, initialise, initialise_gpt
from .decoding import Decoding, Read, settle

STEP_DEG = 5.0
MAX_OFFSET = 36  # steps between the ends of the standard arc


@dataclass(frozen=True)
class AutoregressiveConfig:
    """`context_views` = 1 is the paper; with more, the given view stays in sight as an anchor against drift.

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
            raise ValueError("a jump starts from the given view alone: context_views must be 1")


class AutoregressiveTransition(nn.Module):
    """Sequence: tokens of the context views (the latest last), the action's token, tokens of the next view.

    The paper's two direction tokens turn the source by -5 and +5 degrees. One thing is added to the paper: where a
    token is to be written, the model is shown the latest view's token at the same place, since after 5 degrees little
    moves.
    """

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
    def depth(self) -> int:
        """Blocks from tokens to the next view's."""
        return len(self.blocks)

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
        """Buffers for `step`; a roll-out makes them once."""
        return [KeyValueCache(self.length) for _ in self.blocks]

    @torch.no_grad()
    def step(
        self,
        tokens: Tensor,
        action: Action,
        offsets: Tensor | None = None,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        decoding: Decoding = "cached",
        caches: list[KeyValueCache] | None = None,
    ) -> Tensor:
        """Tokens of a view, (b, n) or with its context (b, views, n) -> tokens (b, n) of the view after the action.

        Args:
            tokens, offsets: see `forward`.
            generator: samples from the softmax at `temperature`; greedy without.
            decoding: how the greedy tokens are found; they are the same. `cached`: one by one, each a pass over one
                position. `uncached`: each a pass over all positions, to compare with. `parallel`: passes over all
                tokens that are not settled yet (`settle`).
            caches: from `caches()`, for a batch of this size or a larger one; new ones if None.

        Raises:
            UsageError: parallel decoding with a generator.
        """
        context = tokens[:, None] if tokens.ndim == 2 else tokens
        if decoding == "uncached":
            caches = None
        elif caches is None:
            caches = self.caches()
        read = self.reader(context, self.action_token(action.difference_deg), offsets, caches)
        if decoding == "parallel":
            if generator is not None:
                raise UsageError("parallel decoding finds the greedy tokens; sample with decoding='cached'")
            return settle(read, context[:, -1])
        pick = _sampler(generator, temperature)
        written = context[:, -1, :0]
        for place in range(self.config.tokens):
            written = torch.cat([written, pick(read(written, place)[:, -1])[:, None]], dim=1)
        return written

    def _prompt(self, context: Tensor, action: Tensor, shown: Tensor, offsets: Tensor | None) -> Tensor:
        views = self.embed(context) + self.place + self.role[0]
        if offsets is not None:
            views = views + self.offset(offsets.clamp(-MAX_OFFSET, MAX_OFFSET) + MAX_OFFSET)[:, :, None]
        turned = self.direction(action)[:, None] + shown[:, :1]
        return torch.cat([views.flatten(1, 2), turned], dim=1)

    def _written(self, tokens: Tensor, shown: Tensor, start: int) -> Tensor:
        """Embed written tokens start, start + 1, ...; each also shows what the latest view has at the next place."""
        end = start + tokens.shape[1]
        return self.embed(tokens) + shown[:, start + 1 : end + 1] + self.place[start:end] + self.role[1]

    def _logits(self, hidden: Tensor) -> Tensor:
        return F.linear(self.norm(hidden), self.embed.weight).float()


def _sampler(generator: torch.Generator | None, temperature: float) -> Callable[[Tensor], Tensor]:
    if generator is None:
        return lambda logits: logits.argmax(dim=-1)

    def draw(logits: Tensor) -> Tensor:
        chances = (logits / temperature).softmax(dim=-1).cpu()
        return torch.multinomial(chances, 1, generator=generator)[:, 0].to(logits.device)

    return draw
