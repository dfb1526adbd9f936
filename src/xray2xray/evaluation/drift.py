"""Drift: how the error grows from one end of the arc to the other, by the roll-out that is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..parallel.progress import progress
from ..projection.geometry import STANDARD_ARC
from .metrics import Array, unit
from .predictors import CopyInput, MeanView
from .scoring import Block, Cohort, Scores, block, score

if TYPE_CHECKING:
    from ..models.transitions.base import Views
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


def free_running(model: "WorldModel", views_p: Array, path_deg: Sequence[float]) -> Array:
    """Unit views (b, t, h, w) at the angles of `path_deg` after its first, each predicted from the last one.

    Args:
        views_p: the real views (b, h, w) at the first angle of the path.
    """
    found: list[Array] = []
    latest: Array | Views = views_p
    for here, there in pairwise(path_deg):
        latest = model.prediction(model.observe([(latest, here)]), [there])[:, 0]
        found.append(unit(latest.pixels(model.vision).cpu().numpy()))
    return np.stack(found, axis=1)


def routes(model: "WorldModel", views_p: Array) -> dict[str, Route]:
    """Every roll-out from the views (b, h, w) at -90 degrees to +90.

    A form that predicts every angle from the real view does so (`direct_prediction`), and also goes in strides, each
    from its own last prediction. A form that goes in steps of its own has one roll-out, these steps.
    """
    ahead = unit(model.predict(model.observe([(views_p, START_DEG)]), AHEAD_DEG))
    if step := model.transition.step_deg:
        return {f"steps_of_{step:g}": (AHEAD_DEG, ahead)}
    found: dict[str, Route] = {"direct_prediction": (AHEAD_DEG, ahead)}
    for stride in STRIDES_DEG:
        path = np.arange(START_DEG, -START_DEG + 1, stride).tolist()
        found[f"steps_of_{stride}"] = (path[1:], free_running(model, views_p, path))
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
    scores = {name: Scores.joined(found) for name, found in parts.items()}
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
