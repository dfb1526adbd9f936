"""What a transition thinks on the way: hidden states at a depth, as features of the view that it was given."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...core.errors import UsageError
from .autoregressive import AutoregressiveTransition
from .direct import DirectTransition
from .rollout import Transition, move_to, walk, whole_steps


@torch.no_grad()
def hidden_states(
    transition: Transition, start: Tensor, input_yaw_deg: float, yaw_deg: Sequence[float], depth: int | None = None
) -> Tensor:
    """Normalised hidden states (b, t, n, dim) on the way from one given view to others.

    Args:
        start: latents (b, n, C) for the direct form, tokens (b, n) for the autoregressive one.
        yaw_deg: t targets. The direct form jumps to each; of its trunk, which knows no target, there is one state
            (t = 1). The autoregressive form walks there, and its states are those that write the last view of the way.
        depth: blocks passed, 0 (none) to `transition.depth` (all, by default).

    Raises:
        UsageError: there is no such depth, or the autoregressive form is to walk to where it is.
        InputError: the autoregressive form is asked for an angle that is no whole number of its steps away.
    """
    depth = transition.depth if depth is None else depth
    if not 0 <= depth <= transition.depth:
        raise UsageError(f"there is no depth {depth}: this transition has {transition.depth} blocks, choose 0 to that")
    if isinstance(transition, DirectTransition):
        here = torch.full((len(start),), float(input_yaw_deg), device=start.device)
        targets = torch.tensor([float(yaw) for yaw in yaw_deg], device=start.device).expand(len(start), -1)
        hidden = transition.states(start, here, targets, depth)
    else:
        hidden = _on_the_walk(transition, start, [whole_steps(yaw - input_yaw_deg) for yaw in yaw_deg], depth)
    # the learned norm belongs to the last block's states; those before it are only brought to one scale
    return transition.norm(hidden) if depth == transition.depth else F.layer_norm(hidden, hidden.shape[-1:])


def _on_the_walk(transition: AutoregressiveTransition, start: Tensor, steps: Sequence[int], depth: int) -> Tensor:
    if 0 in steps:
        raise UsageError("the autoregressive form has no hidden states at the given view's own angle; leave it out")
    reached, found = walk(transition, start, steps), []
    for step in steps:
        context, offsets, turn_deg = move_to(step, reached, transition)
        anchored = offsets if transition.config.context_views > 1 else None
        found.append(transition.states(context, transition.action_token(turn_deg), reached[step], anchored, depth))
    return torch.stack(found, dim=1)
