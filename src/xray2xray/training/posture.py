"""Virtual patients bent to the posture of real ones: necks and raised shoulders lie further forward, loins are fuller.

Only the table below is of real scans: the mean depth of the attenuation and its spread, by height.
"""

import torch
from torch import Tensor

ASIDE = torch.tensor([0.175, 0.525, 0.875])  # half detectors to the right or to the left of the middle
HEIGHT = torch.tensor(
    # half detectors above the isocentre
    [1.078, 0.922, 0.766, 0.609, 0.453, 0.297, 0.141, -0.016, -0.172, -0.328, -0.484, -0.641]
)
MOMENTS = torch.tensor(
    # middle and spread of virtual patients, of real ones: shares of half of the state's depth, from the source on
    [
        [
            (-0.014, 0.17, 0.174, 0.224),
            (0.068, 0.238, 0.093, 0.238),
            (0.025, 0.257, 0.04, 0.257),
            (0.007, 0.283, 0.009, 0.299),
            (-0.006, 0.333, 0.043, 0.338),
            (0.015, 0.362, 0.066, 0.359),
            (0.051, 0.375, 0.079, 0.372),
            (0.087, 0.385, 0.091, 0.385),
            (0.117, 0.389, 0.116, 0.401),
            (0.137, 0.378, 0.134, 0.393),
            (0.148, 0.364, 0.142, 0.389),
            (0.151, 0.357, 0.123, 0.379),
        ],
        [
            (-0.011, 0.175, 0.069, 0.146),
            (0.061, 0.228, 0.016, 0.201),
            (0.029, 0.246, 0.0, 0.247),
            (0.017, 0.259, 0.004, 0.29),
            (0.015, 0.3, 0.008, 0.313),
            (0.033, 0.348, 0.021, 0.34),
            (0.06, 0.387, 0.04, 0.369),
            (0.093, 0.406, 0.05, 0.405),
            (0.107, 0.405, 0.074, 0.397),
            (0.117, 0.38, 0.107, 0.374),
            (0.13, 0.341, 0.114, 0.36),
            (0.141, 0.321, 0.117, 0.356),
        ],
        [
            (-0.009, 0.15, 0.139, 0.199),
            (0.02, 0.187, 0.104, 0.197),
            (-0.003, 0.198, 0.043, 0.209),
            (-0.015, 0.209, 0.003, 0.209),
            (-0.013, 0.232, -0.007, 0.209),
            (0.004, 0.245, -0.015, 0.212),
            (0.019, 0.255, -0.015, 0.215),
            (0.033, 0.248, -0.014, 0.226),
            (0.042, 0.236, 0.014, 0.231),
            (0.052, 0.235, 0.043, 0.232),
            (0.06, 0.231, 0.047, 0.232),
            (0.072, 0.227, 0.072, 0.235),
        ],
    ]
)
"""(aside, height, 4): medians over 26 whole chests (SegTHOR) and 120 virtual patients (`experiments.folds.posture`)."""


def bent(depth: Tensor, height: Tensor, aside: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
    """Where the attenuation comes from that lies at a place of a bent patient.

    Args:
        depth: (b, ...) of the place; height, aside: in the unbent patient, of that shape or one that broadcasts to it.
        strength: (b,), 0 for the patient as it is, 1 for the posture that is the median of real ones.

    Returns:
        The depth in the unbent patient, of depth's shape, and how many times deeper the bent one is, of height's.
    """
    middle, spread, real_middle, real_spread = _at(height, aside)
    share = strength.reshape(-1, *(1,) * (depth.ndim - 1))
    stretch = (real_spread / spread) ** share
    return middle + (depth - middle - share * (real_middle - middle)) / stretch, stretch


def _at(height: Tensor, aside: Tensor) -> tuple[Tensor, ...]:
    """The four columns of `MOMENTS` at these places, bilinear between them; beyond the ends as at the ends."""
    row, below = _between(HEIGHT.flip(0), height)
    zone, beside = _between(ASIDE, aside.abs())
    table = MOMENTS.flip(1)
    near, far = (table[zone + n, row] * (1 - below) + table[zone + n, row + 1] * below for n in (0, 1))
    return (near * (1 - beside) + far * beside).unbind(-1)


def _between(known: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """The ascending `known` value before each place, and (..., 1) how far it is to the next one, 0 to 1."""
    index = (torch.searchsorted(known, at.contiguous()) - 1).clamp(0, len(known) - 2)
    return index, ((at - known[index]) / (known[index + 1] - known[index])).clamp(0, 1)[..., None]
