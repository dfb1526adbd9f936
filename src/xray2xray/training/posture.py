"""Virtual patients bent to the posture of real ones: their necks lean forward, and their loins are less hollow.

Only the table below is of real scans: where the back and the front of a body lie, by height.
"""

import torch
from torch import Tensor

EDGES = torch.tensor(
    # height, back and front of virtual patients, back and front of real ones
    [
        (1.078, -0.344, 0.307, -0.235, 0.526),
        (0.922, -0.354, 0.437, -0.304, 0.453),
        (0.766, -0.387, 0.439, -0.417, 0.424),
        (0.609, -0.443, 0.420, -0.484, 0.439),
        (0.453, -0.485, 0.457, -0.496, 0.504),
        (0.297, -0.514, 0.538, -0.504, 0.581),
        (0.141, -0.520, 0.606, -0.497, 0.637),
        (-0.016, -0.516, 0.659, -0.522, 0.671),
        (-0.172, -0.504, 0.686, -0.540, 0.679),
        (-0.328, -0.491, 0.683, -0.546, 0.696),
        (-0.484, -0.475, 0.671, -0.538, 0.706),
        (-0.641, -0.453, 0.675, -0.532, 0.693),
    ]
)
"""Medians over 26 whole chests (SegTHOR) and 120 virtual patients, as `experiments.folds.posture` finds them. Heights
are in half detectors above the isocentre, depths in half of the state's depth, from the source on."""


def bent(depth: Tensor, height: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
    """Where the attenuation comes from that lies at a place of a bent patient.

    Args:
        depth: (b, ...) of the place; height: of the same shape, in the unbent patient.
        strength: (b,), 0 for the patient as it is, 1 for the posture that is the median of real ones.

    Returns:
        The depth in the unbent patient, and how many times deeper the bent one is there; both of the same shape.
    """
    back, front, real_back, real_front = _at(height)
    share = strength.reshape(-1, *(1,) * (depth.ndim - 1))
    back_to, front_to = back + share * (real_back - back), front + share * (real_front - front)
    stretch = (front_to - back_to) / (front - back)
    return back + (depth - back_to) / stretch, stretch


def _at(height: Tensor) -> tuple[Tensor, ...]:
    """The four columns of `EDGES` at these heights, linear between them; beyond the ends as at the ends."""
    known = EDGES[:, 0].flip(0)
    row = torch.searchsorted(known, height.contiguous()).clamp(1, len(known) - 1)
    weight = ((height - known[row - 1]) / (known[row] - known[row - 1])).clamp(0, 1)[..., None]
    columns = EDGES[:, 1:].flip(0)
    found = columns[row - 1] * (1 - weight) + columns[row] * weight
    return found.unbind(-1)
