"""Drift: how the error grows on the way from one end of the arc to the other, by the way that is taken."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ..io.files import progress
from ..projection.geometry import STANDARD_ARC
from .baselines import CopyInput, MeanView
from .metrics import Array, unit
from .scoring import Cohort, Scores, block, score, stack

if TYPE_CHECKING:
    from ..models.world_model import WorldModel

START_DEG, AHEAD_DEG = STANDARD_ARC[0], STANDARD_ARC[1:]
STRIDES_DEG = (5, 30)
BATCH = 4

Route = tuple[Sequence[float], Array]
"""Angles (t,) in degrees and unit views (b, t, h, w) there."""


def free_running(model: "WorldModel", views_p: Array, path_deg: Sequence[float]) -> Array:
    """Views p (b, t, h, w) at the angles of `path_deg` after its first, each predicted from the one predicted before.

    Args:
        views_p: the real views (b, h, w) at the first angle of the path.
    """
    state, found = model.observe([(views_p, path_deg[0])]), []
    for yaw_deg in path_deg[1:]:
        predicted = model.prediction(state, [yaw_deg])[:, 0]
        state = model.observe([(predicted, yaw_deg)])  # as the form predicts it: V does not decode and encode between
        found.append(predicted.pixels(model.vision).cpu().numpy())
    return np.stack(found, axis=1)


def routes(model: "WorldModel", views_p: Array) -> dict[str, Route]:
    """Every way from the views (b, h, w) at -90 degrees to +90.

    `jump` predicts each angle from the real view; `steps_of_5` and `steps_of_30` predict each from the last prediction.
    A form that predicts in steps by itself has one way, its roll-out.
    """
    rolled = unit(model.imagine(views_p, START_DEG, AHEAD_DEG))
    if step_deg := model.transition.step_deg:
        return {f"steps_of_{step_deg:g}": (AHEAD_DEG, rolled)}
    found: dict[str, Route] = {"jump": (AHEAD_DEG, rolled)}
    for stride in STRIDES_DEG:
        path = np.arange(START_DEG, -START_DEG + 1, stride).tolist()
        found[f"steps_of_{stride}"] = (path[1:], unit(free_running(model, views_p, path)))
    return found


def measure_drift(
    model: "WorldModel", views_p: Array, names: list[str], rung: str, mean_views: Array, seed: int = 0
) -> dict[str, Any]:
    """{"routes", "baselines"}: PSNR, SSIM and R2 at each angle, as in `scoring.block`.

    Args:
        views_p: the truth of the arc, (cases, angles, h, w).
        mean_views: unit (angles, h, w), the zero of R2.
    """
    parts: dict[str, list[Scores]] = {}
    angles: dict[str, Sequence[float]] = {}
    chunks = [views_p[i : i + BATCH] for i in range(0, len(views_p), BATCH)]
    for true_p in progress(chunks, f"drift, {model.config.form}, {rung}"):
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
        cohort = Cohort(tuple(angles[name]), START_DEG, names, [rung] * len(names), {}, {})
        blocks[name] = block(cohort, found, Scores(null.mse[:, at], null.ssim[:, at]), seed)
    baselines = {name: blocks.pop(name) for name in ("mean_view", "copy_input")}
    return {"routes": blocks, "baselines": baselines}


def _index(yaw_deg: Sequence[float]) -> list[int]:
    return [STANDARD_ARC.index(yaw) for yaw in yaw_deg]
