"""Controls: how much of the accuracy depends on the action, and how much on the patient.

From one input the view predicted for an angle depends on that angle alone. So the prediction for a wrong angle is
already among the predictions for the arc, and every control is a rearrangement of them: no model runs twice, and no
network gets an input unlike those of its training.
"""

import numpy as np

from ..projection.geometry import STANDARD_ARC
from .metrics import Array
from .scoring import Scores, score

INPUT_YAW_DEG = 0.0
TARGETS = np.flatnonzero(np.array(STANDARD_ARC) != INPUT_YAW_DEG)
AS_IT_IS = "as_it_is"
CONTROLS = {
    AS_IT_IS: "the true angle",
    "removed": "no angle: the mean of the predictions for all angles of the arc",
    "shuffled": "the angles of the arc in random order, another order for each patient",
    "wrong_sign": "the angle with the opposite sign",
    "other_patient": "the true angle, and the next patient's frontal as the input",
}


def controls(own: Array, other: Array, random: np.random.Generator) -> dict[str, Array]:
    """What a model predicts under each of `CONTROLS`, views (angles, h, w) of the standard arc each.

    `removed` has the least squared error of all predictions that do not depend on the angle. The input's own angle
    would be an action too, no rotation: that is the baseline `copy_input`.

    Args:
        own: the predictions from the patient's frontal, (angles, h, w).
        other: the same from another patient's.
    """
    order = np.arange(len(own))
    order[TARGETS] = random.permutation(TARGETS)
    return {
        AS_IT_IS: own,
        "removed": np.broadcast_to(own[TARGETS].mean(axis=0), own.shape),
        "shuffled": own[order],
        "wrong_sign": own[::-1],  # the arc is symmetric about the frontal
        "other_patient": other,
    }


def score_controls(predicted: Array, truth: Array, seed: int = 0) -> dict[str, Scores]:
    """Scores of each control, from unit views (cases, angles, h, w) predicted from the frontals, and the true ones.

    The other patient is the next case, of the last one the first; a single case has none.
    """
    random = np.random.default_rng(seed)
    parts: dict[str, list[Scores]] = {}
    for own, other, true in zip(predicted, np.roll(predicted, -1, axis=0), truth, strict=True):
        for name, views in controls(own, other, random).items():
            parts.setdefault(name, []).append(score(views[None], true[None]))
    if len(predicted) == 1:
        del parts["other_patient"]
    return {name: Scores.joined(scores) for name, scores in parts.items()}
