"""OS-SART: every few views correct the volume at once; the default, for any set of views."""

from collections.abc import Iterable

import numpy as np

from .problem import Problem, settled, squared
from .total_variation import reduce_variation


def os_sart(
    problem: Problem,
    initial: np.ndarray,
    *,
    passes: Iterable[int],
    subsets: int,
    relaxation: float,
    tv: float = 0.0,
    tolerance: float = 0.0,
) -> tuple[np.ndarray, list[float]]:
    """Ordered-subsets SART (Wang and Jiang, J X-Ray Sci Technol 12:169, 2004).

    For every subset s of views:  x <- x + relaxation (A_s^T (p_s - A_s x) / A_s 1) / A_s^T 1, then x >= 0; A 1 and
    A^T 1 are taken within the support.

    Args:
        problem: the views and the grid.
        initial: float32 of the grid's shape, attenuation per mm to start from.
        passes: one entry for each pass over all views.
        subsets: groups of views between which the volume is updated.
        relaxation: step length, in (0, 2).
        tv: weight of `reduce_variation` after every pass, per mm.
        tolerance: stop once the residual is `settled`.

    Returns:
        The volume, float32 per mm, and |A x - p| / |p| for every pass, as it was met during the pass: each view's
        residual just before it was used. To know it afterwards would cost half a pass more.
    """
    views = len(problem.views_p)
    subsets = min(subsets, views)
    groups = [np.arange(first, views, subsets) for first in _far_apart(subsets)]
    where = problem.supported(np.ones(problem.shape, np.float32))
    length = problem.forward(where)
    ray_weight = _inverse(length)
    voxel_weight = [
        relaxation * where * _inverse(problem.transpose((length[group] > 0).astype(np.float32), group))
        for group in groups
    ]
    mu = problem.admissible(initial.astype(np.float32))
    residuals: list[float] = []
    for _ in passes:
        left = 0.0
        for group, weight in zip(groups, voxel_weight, strict=True):
            residual = problem.residual(mu, group)
            left += squared(residual)
            mu += weight * problem.transpose(residual * ray_weight[group], group)
            if problem.non_negative:
                np.maximum(mu, 0, out=mu)
        if tv > 0:
            mu = problem.admissible(reduce_variation(mu, tv, threads=problem.threads))
        residuals.append(problem.relative(left))
        if settled(residuals, tolerance):
            break
    return mu, residuals


def _inverse(weights: np.ndarray) -> np.ndarray:
    """1 / weights; 0 where hardly anything was met, which says little and would be divided by next to nothing."""
    enough = weights > 0.01 * weights.max()
    return np.where(enough, 1 / np.where(enough, weights, 1), 0).astype(np.float32)


def _far_apart(count: int) -> list[int]:
    """0..count-1 in an order in which neighbours come far apart (van der Corput), as ordered subsets want them."""
    bits = max(1, (count - 1).bit_length())
    return [i for i in (int(f"{n:0{bits}b}"[::-1], 2) for n in range(1 << bits)) if i < count]
