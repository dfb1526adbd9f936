"""The one roll-out: from a given view to many angles. Training validates with it, evaluation and the demo use it."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...core.errors import InputError, UsageError
from .action import Action
from .autoregressive import MAX_OFFSET, STEP_DEG, AutoregressiveTransition
from .decoding import Decoding
from .direct import DirectTransition
from .fusion import noise_given
from .sampler import DirectSampler

Transition = DirectTransition | AutoregressiveTransition
FARTHEST_DEG = 90.0  # of the standard arc
JUMPS = 12  # at a time: bounds the memory of their caches


@torch.no_grad()
def roll_out(
    transition: Transition,
    start: Tensor,
    input_yaw_deg: float,
    yaw_deg: Sequence[float],
    generator: torch.Generator | None = None,
    samples: int | None = None,
    sampler: DirectSampler | None = None,
    decoding: Decoding = "cached",
    others: Mapping[float, Tensor] | None = None,
) -> Tensor:
    """Predict the views at `yaw_deg` from one given view: the expected ones, or samples of what they may be.

    Args:
        transition: the direct form jumps to each angle; the autoregressive form walks there in steps of 5 degrees, both
            ways in one batch, each predicted view being the input of the next step, or jumps if it was taught to.
        start: latents (b, n, C) for the direct form, tokens (b, n) for the autoregressive one.
        yaw_deg: t angles.
        generator: draws a sample, whose views belong together; without it the direct form answers with its prediction
            and the autoregressive one is greedy.
        samples: draw that many instead of one.
        sampler: of the direct form, which cannot be drawn from without one.
        decoding: how the autoregressive form finds its tokens, see its `step`.
        others: further given views of the same patients, angle -> latents (b, n, C), beside a frontal (`fusion`).

    Returns:
        (b, t, n, C) latents or (b, t, n) tokens, with `samples` (samples, b, t, ...); at the angle of a given view the
        given view itself.

    Raises:
        InputError: the autoregressive form is asked for an angle that is no whole number of its steps away.
        UsageError: samples without a generator, of a direct form without a sampler, or from another view than the
            frontal, whose residuals a sampler has learned; other views with the autoregressive form, without a
            sampler, beside another view than the frontal, or samples of them.
    """
    if samples is not None and (generator is None or samples < 1):
        raise UsageError(f"{samples} samples are asked for: give at least 1, and a generator that draws them")
    if not len(yaw_deg):
        raise UsageError("no angles are asked for")
    if not all(map(math.isfinite, (input_yaw_deg, *yaw_deg))):
        raise InputError("M cannot reach an angle that is NaN or infinite")
    if others:
        if isinstance(transition, AutoregressiveTransition) or sampler is None:
            raise UsageError("further given views need the direct form, and a sampler beside it")
        if generator is not None:
            raise UsageError("from several given views there is an expectation, and no samples")
        if input_yaw_deg != 0.0 or any(not 0 < abs(yaw) <= FARTHEST_DEG for yaw in others):
            raise UsageError(
                f"further views stand beside a frontal at 0 degrees, up to {FARTHEST_DEG:g} degrees from it; got a view"
                f" at {input_yaw_deg:g} and others at {', '.join(f'{yaw:g}' for yaw in others)}"
            )
        return _fuse(transition, start, yaw_deg, others, sampler)
    if isinstance(transition, AutoregressiveTransition):
        states = start.repeat(samples or 1, 1)
        walked = _walk(transition, states, input_yaw_deg, yaw_deg, generator, decoding)
        return walked if samples is None else walked.unflatten(0, (samples, len(start)))
    if generator is None:
        return _jump(transition, start, input_yaw_deg, yaw_deg)
    if sampler is None:
        raise UsageError("this direct form has no sampler: train the stage `sampler`, or ask without a generator")
    if input_yaw_deg != 0.0:
        raise UsageError(f"the sampler knows what a frontal leaves open, not a view at {input_yaw_deg:g} degrees")
    noise = sampler.noise(samples or 1, len(start), generator=generator)
    drawn = _jump(transition, start, input_yaw_deg, yaw_deg, sampler, noise)
    return drawn[0] if samples is None else drawn


def _jump(
    transition: DirectTransition,
    start: Tensor,
    input_yaw_deg: float,
    yaw_deg: Sequence[float],
    sampler: DirectSampler | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    here = torch.full((len(start),), float(input_yaw_deg), device=start.device)
    targets = torch.tensor([float(yaw) for yaw in yaw_deg], device=start.device).expand(len(start), -1)
    seen = transition.observe(start, here)
    if sampler is None or noise is None:
        predicted = transition.predict(seen, targets)
    else:
        predicted = sampler.sample(transition, seen, targets, noise)
    given = (targets == here[:, None])[..., None, None]
    return torch.where(given, start[:, None].to(predicted.dtype), predicted)


def _fuse(
    transition: DirectTransition,
    start: Tensor,
    yaw_deg: Sequence[float],
    others: Mapping[float, Tensor],
    sampler: DirectSampler,
) -> Tensor:
    there = torch.tensor([float(yaw) for yaw in others], device=start.device)
    seen = torch.stack([view.to(start) for view in others.values()], dim=1)
    at_others, predicted = _jump(transition, start, 0.0, [*others, *yaw_deg]).tensor_split([len(others)], dim=1)
    noise = noise_given(sampler.spread, seen - at_others, there)
    targets = torch.tensor([float(yaw) for yaw in yaw_deg], device=start.device).expand(len(start), -1)
    fused = predicted + sampler.spread(noise, targets)
    for yaw, view in {0.0: start, **others}.items():
        fused = torch.where((targets == yaw)[..., None, None], view[:, None].to(fused), fused)
    return fused


def _walk(
    transition: AutoregressiveTransition,
    start: Tensor,
    input_yaw_deg: float,
    yaw_deg: Sequence[float],
    generator: torch.Generator | None,
    decoding: Decoding,
) -> Tensor:
    steps = [whole_steps(yaw - input_yaw_deg) for yaw in yaw_deg]
    if transition.config.actions == "jump" and max(map(abs, (input_yaw_deg, *yaw_deg))) > FARTHEST_DEG:
        raise InputError(f"the autoregressive form has jumped within {FARTHEST_DEG:g} degrees of the frontal only")
    reached = walk(transition, start, steps, generator, decoding)
    return torch.stack([reached[step] for step in steps], dim=1)


def walk(
    transition: AutoregressiveTransition,
    start: Tensor,
    steps: Sequence[int],
    generator: torch.Generator | None = None,
    decoding: Decoding = "cached",
) -> dict[int, Tensor]:
    """Tokens (b, n) by the step at which they were reached, the given view's at 0: of `steps`, and of all on the way.

    Raises:
        InputError: a jump farther than any that was taught.
    """
    caches = transition.caches()  # once: the first batch is the largest
    reached: dict[int, Tensor] = {0: start}
    for together in in_turn(steps, transition.config.actions):
        moves = [move_to(step, reached, transition) for step in together]
        contexts, offsets, turns = (torch.cat(parts) for parts in zip(*moves, strict=True))
        action = Action(torch.zeros_like(turns), turns)
        anchored = offsets if transition.config.context_views > 1 else None
        following = transition.step(contexts, action, anchored, generator, decoding=decoding, caches=caches)
        reached.update(zip(together, following.split(len(start)), strict=True))
    return reached


def in_turn(steps: Sequence[int], actions: str) -> list[list[int]]:
    """Which steps are reached together, and after which others: both ways at once, or jumps, some at a time."""
    if actions == "jump":
        targets = sorted({*steps} - {0})
        if targets and max(map(abs, targets)) > MAX_OFFSET:
            raise InputError(f"the autoregressive form jumps by up to {MAX_OFFSET * STEP_DEG:g} degrees; ask for less")
        return [targets[i : i + JUMPS] for i in range(0, len(targets), JUMPS)]
    farthest = max((abs(step) for step in steps), default=0)
    return [
        [way * distance for way in (-1, 1) if any(step * way >= distance for step in steps)]
        for distance in range(1, farthest + 1)
    ]


def move_to(
    step: int, reached: dict[int, Tensor], transition: AutoregressiveTransition
) -> tuple[Tensor, Tensor, Tensor]:
    """What the model is told to reach a step: the given view as the anchor, then the views before the latest, the
    latest last (b, views, n); their offsets from it (b, views); and by how many degrees to turn (b,)."""
    way = 1 if step > 0 else -1
    latest = 0 if transition.config.actions == "jump" else abs(step) - 1
    seen = context_steps(latest, transition.config.context_views)
    views = torch.stack([reached[way * before] for before in seen], dim=1)
    offsets = torch.tensor([way * (before - latest) for before in seen], device=views.device)
    turn = torch.full((len(views),), STEP_DEG * (step - way * latest), device=views.device)
    return views, offsets.expand(len(views), -1), turn


def context_steps(latest: int, views: int) -> list[int]:
    """Which of the views 0 (given) .. latest the model is shown: the given one, and the last ones before the latest."""
    return [0] * (views > 1) + [max(0, latest - back) for back in range(max(1, views - 1) - 1, -1, -1)]


def whole_steps(difference_deg: float) -> int:
    """How many steps of the autoregressive form an angle is away; raises InputError if it is no whole number."""
    steps = round(difference_deg / STEP_DEG) if math.isfinite(difference_deg) else 0
    if not abs(steps * STEP_DEG - difference_deg) <= 1e-3:
        raise InputError(
            f"the autoregressive form turns in steps of {STEP_DEG:g} degrees and cannot reach {difference_deg:g};"
            " ask for other angles or use the direct form"
        )
    return steps
