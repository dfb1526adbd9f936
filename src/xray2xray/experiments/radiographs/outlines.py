"""Two outlines of an organ, laid over each other as far as is fair, and how far they are apart then.

A radiograph and a CT of one patient differ in magnification, breath and posture. So a pair of predicted outlines
(frontal, lateral) is placed on the true pair by shifts and by one scale for heights and one for widths, all found on
the frontals. Of the lateral nothing is left free but where it stands from front to back: its depth takes the scale of
the frontal's width, as a magnification does, and is tested.

Masks are bool (h, w), row 0 superior; scales are about the middle of the picture, shifts in pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, binary_erosion, distance_transform_edt
from scipy.optimize import minimize

from ...core.errors import InputError

Mask = NDArray[np.bool_]
Array = NDArray[np.floating]

SCALES = (0.6, 1.6)  # beyond which two outlines are not those of one patient
REACH = 0.15  # of the picture's side: how far from the centroid's place a lateral's is looked for
SPAN = 0.96  # of a mask's pixels lie within its depth


@dataclass(frozen=True)
class Placement:
    """How a mask is laid on another: scaled about the middle of the picture, then shifted by so many pixels."""

    height: float = 1.0
    width: float = 1.0
    down: float = 0.0
    right: float = 0.0


def placed(mask: NDArray[np.generic], placement: Placement) -> Array:
    """The mask there: float32 (h, w) from 0 to 1, linear between pixels."""
    middle = (np.array(mask.shape) - 1) / 2
    back = 1 / np.array([placement.height, placement.width])
    offset = middle - back * (middle + np.array([placement.down, placement.right]))
    return np.asarray(affine_transform(mask.astype(np.float32), back, offset, order=1), np.float32)


def dice(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """Twice what two masks share over what they have, 0 to 1; soft ones (0 to 1) count by their values."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    return float(2 * np.minimum(one, other).sum() / max(one.sum() + other.sum(), 1e-12))


def align(predicted: Mask, truth: Mask) -> Placement:
    """Shifts and scales of height and width, these within `SCALES`, that bring two frontals to the highest Dice.

    Begun at equal centroids and spreads, and at the place as it is; the better end counts.
    """
    low, high = np.log(SCALES)
    bounds = [(low, high)] * 2 + [(-length / 2.0, length / 2.0) for length in truth.shape]

    def worse(x: Array) -> float:
        return -dice(placed(predicted, _placement(x)), truth)

    starts = (np.clip(_by_moments(predicted, truth), *np.array(bounds).T), np.zeros(4))
    steps = np.vstack([np.zeros(4), np.diag([0.05, 0.05, 2.0, 2.0])])
    ends = []
    for start in starts:
        simplex = np.clip(start + np.where(start + steps > np.array(bounds)[:, 1], -steps, steps), *np.array(bounds).T)
        options = {"initial_simplex": simplex, "maxfev": 300, "xatol": 1e-3, "fatol": 1e-5}
        ends.append(minimize(worse, start, method="Nelder-Mead", bounds=bounds, options=options))
    return _placement(min(ends, key=lambda end: end.fun).x)


def align_lateral(predicted: Mask, truth: Mask, frontal: Placement) -> Placement:
    """The frontal's placement for a lateral: its scales and its height, and the best place from front to back."""
    still = Placement(frontal.height, frontal.width, frontal.down)
    there = _centroid(truth)[1] - _centroid(placed(predicted, still))[1]
    reach = REACH * truth.shape[1]
    tried = [
        Placement(still.height, still.width, still.down, float(there + right))
        for right in np.arange(-reach, reach, 0.5)
    ]
    return max(tried, key=lambda placement: dice(placed(predicted, placement), truth))


def outline_distance(one: Mask, other: Mask) -> float:
    """Mean distance, in pixels, from each pixel of an outline to the other outline, over both directions."""
    first, second = (mask & ~binary_erosion(mask) for mask in (one, other))
    there, back = distance_transform_edt(~second)[first], distance_transform_edt(~first)[second]
    return float((there.mean() + back.mean()) / 2)


def height_and_depth(mask: Mask) -> tuple[float, float]:
    """Rows and columns, in pixels, between which the middle `SPAN` of the pixels lie."""
    ends = [(1 - SPAN) / 2, (1 + SPAN) / 2]
    height, depth = (float(np.diff(np.quantile(at, ends))[0]) + 1 for at in np.nonzero(mask))
    return height, depth


def compare(predicted: tuple[Mask, Mask], truth: tuple[Mask, Mask], pixel_mm: float) -> dict[str, float]:
    """The scores of a predicted frontal and lateral on the true ones.

    Returns:
        dice_unaligned, dice, distance_mm: of the laterals, before and after (twice) the alignment.
        depth_ratio, depth_error: the aligned lateral's depth over the true one's, and how far that is from 1.
        depth_to_height: depth over height, predicted over true, before any alignment.
        frontal_dice: how well the frontals could be aligned.
        height_scale, width_scale: of the alignment.

    Raises:
        InputError: a mask is empty, or nothing of the lateral is left in the picture.
    """
    for mask, name in zip(
        (*predicted, *truth), ("predicted frontal", "predicted lateral", "true frontal", "true lateral")
    ):
        if not mask.any():
            raise InputError(f"no lungs were found on the {name}")
    (frontal, lateral), (true_frontal, true_lateral) = predicted, truth
    placement, beside = place_pair(predicted, truth)
    aligned = placed(lateral, beside) >= 0.5
    if not aligned.any():
        raise InputError("the outlines are too far apart to be aligned")
    (height, depth), (true_height, true_depth) = height_and_depth(lateral), height_and_depth(true_lateral)
    ratio = height_and_depth(aligned)[1] / true_depth
    return {
        "dice_unaligned": dice(lateral, true_lateral),
        "dice": dice(aligned, true_lateral),
        "distance_mm": pixel_mm * outline_distance(aligned, true_lateral),
        "depth_ratio": ratio,
        "depth_error": abs(ratio - 1),
        "depth_to_height": (depth / height) / (true_depth / true_height),
        "frontal_dice": dice(placed(frontal, placement) >= 0.5, true_frontal),
        "height_scale": placement.height,
        "width_scale": placement.width,
    }


def place_pair(predicted: tuple[Mask, Mask], truth: tuple[Mask, Mask]) -> tuple[Placement, Placement]:
    """Placements of the frontal, and of the lateral by it."""
    frontal = align(predicted[0], truth[0])
    return frontal, align_lateral(predicted[1], truth[1], frontal)


def _placement(x: Array) -> Placement:
    return Placement(float(np.exp(x[0])), float(np.exp(x[1])), float(x[2]), float(x[3]))


def _by_moments(predicted: Mask, truth: Mask) -> Array:
    """Log scales and shifts at which centroids and standard deviations agree."""
    scale = np.array(
        [there.std() / max(here.std(), 1e-6) for here, there in zip(np.nonzero(predicted), np.nonzero(truth))]
    )
    scale = np.clip(scale, *SCALES)
    middle = (np.array(truth.shape) - 1) / 2
    shift = _centroid(truth) - middle - scale * (_centroid(predicted) - middle)
    return np.concatenate([np.log(scale), shift])


def _centroid(mask: NDArray[np.generic]) -> Array:
    """Row and column, by the mask's values; the middle of an empty one."""
    weight = mask.astype(np.float64)
    if not weight.sum() > 0:
        return (np.array(mask.shape) - 1) / 2
    return np.array([np.average(np.arange(n), weights=weight.sum(1 - axis)) for axis, n in enumerate(mask.shape)])
