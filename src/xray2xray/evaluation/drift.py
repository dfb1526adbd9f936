"""Drift: how the error grows from one end of the arc to the other, by the roll-out that is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..io.files import progress
from ..models.transitions.action import Action
from ..models.transitions.autoregressive import AutoregressiveTransition
from ..projection.geometry import STANDARD_ARC
from .metrics import Array, unit
from .predictors import CopyInput, MeanView
from .scoring import Block, Cohort, Scores, block, score, stack

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

START_DEG, AHEAD_DEG = STANDARD_ARC[0], STANDARD_ARC[1:]
STRIDES_DEG = (5, 30)
BATCH = 4

Route = tuple[Sequence[float], Array]
"""Angles (t,) in degrees and unit views (b, t, h, w) there."""


@dataclass(frozen=True)
class Drift:
    """PSNR, SSIM and R2 at each angle: by roll-out, and of the baselines."""

    routes: dict[str, Block]
    baselines: dict[str, Block]


def free_running(model: "WorldModel", start: Tensor, path_deg: Sequence[float]) -> Tensor:
    """States (b, t, ...) at the angles of `path_deg` after its first: each predicted from the one predicted before.

    Args:
        start: the state (b, ...) at the first angle of the path, of the real view.
    """
    states = [start]
    for here, there in pairwise(path_deg):
        states.append(model.step(states[-1], Action.between(here, there, len(start), model.device)))
    return torch.stack(states[1:], dim=1)


def routes(model: "WorldModel", views_p: Array) -> dict[str, Route]:
    """Every way from the views (b, h, w) at -90 degrees to +90.

    `direct` jumps from the real view to each angle, or walks in strides, each on its own last prediction. The
    autoregressive form has one way, its roll-out: jumps, if it was taught to, or 36 steps of 5 degrees, with the real
    view as an anchor where it was trained with one.
    """
    start = model.state(views_p)

    def seen(states: Tensor) -> Array:
        views = model.decode(states.flatten(0, 1))
        return unit(views).reshape(*states.shape[:2], *views.shape[1:])

    rolled = seen(model.roll_out(start, START_DEG, AHEAD_DEG))
    if isinstance(model.transition, AutoregressiveTransition):
        jumps = model.transition.config.actions == "jump"
        return {"jump" if jumps else "steps_of_5": (AHEAD_DEG, rolled)}
    found: dict[str, Route] = {"jump": (AHEAD_DEG, rolled)}
    for stride in STRIDES_DEG:
        path = np.arange(START_DEG, -START_DEG + 1, stride).tolist()
        found[f"steps_of_{stride}"] = (path[1:], seen(free_running(model, start, path)))
    return found


def measure_drift(
    model: "WorldModel", views_p: Array, names: list[str], evidence_level: str, mean_views: Array, seed: int = 0
) -> Drift:
    """All roll-outs of a model from the view at -90 degrees.

    Args:
        views_p: the truth of the arc, (cases, angles, h, w).
        mean_views: unit (angles, h, w), the zero of R2.
    """
    parts: dict[str, list[Scores]] = {}
    angles: dict[str, Sequence[float]] = {}
    chunks = [views_p[i : i + BATCH] for i in range(0, len(views_p), BATCH)]
    for true_p in progress(chunks, f"drift, {model.config.form}, {evidence_level}"):
        truth = unit(true_p)
        ahead = {
            "mean_view": (AHEAD_DEG, MeanView(mean_views[1:]).predict(truth[:, 0])),
            "copy_input": (AHEAD_DEG, CopyInput(len(AHEAD_DEG)).predict(truth[:, 0])),
        }
        for name, (yaw_deg, views) in (routes(model, true_p[:, 0]) | ahead).items():
            angles[name] = yaw_deg
            parts.setdefault(name, []).append(score(views, truth[:, _index(yaw_deg)]))
    scores = {name: stack(found) for name, found in parts.items()}
    null = scores["mean_view"]
    blocks = {}
    for name, found in scores.items():
        at = [AHEAD_DEG.index(yaw) for yaw in angles[name]]
        cohort = Cohort(tuple(angles[name]), START_DEG, names, [evidence_level] * len(names), {}, {})
        blocks[name] = block(cohort, found, null[:, at], seed)
    baselines = {name: blocks.pop(name) for name in ("mean_view", "copy_input")}
    return Drift(blocks, baselines)


def _index(yaw_deg: Sequence[float]) -> list[int]:
    return [STANDARD_ARC.index(yaw) for yaw in yaw_deg]
