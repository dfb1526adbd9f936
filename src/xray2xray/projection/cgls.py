"""CGLS: conjugate gradients for the least-squares volume; the fewest passes where the views are consistent."""

from collections.abc import Iterable

import numpy as np

from .problem import Problem, settled, squared
from .total_variation import reduce_variation

RESTART = 5  # steps between two projections on x >= 0, which end a sequence of conjugate directions


def cgls(
    problem: Problem, initial: np.ndarray, *, steps: Iterable[int], tv: float = 0.0, tolerance: float = 0.0
) -> tuple[np.ndarray, list[float]]:
    """Conjugate gradients on the normal equations (Hestenes and Stiefel, J Res Natl Bur Stand 49:409, 1952).

    Minimises |A S (x - x0) - (p - A x0)|, the correction to the initial volume x0, with S the support: few steps leave
    x near x0 wherever the views say little. Non-negativity and total variation are not linear, so where one is asked
    for every `RESTART` steps are followed by a projection on x >= 0, by `reduce_variation`, and by a fresh start from
    there, which costs half a step. That is a heuristic: it need not reach the constrained minimum.

    Args:
        problem: the views and the grid.
        initial: float32 of the grid's shape, attenuation per mm, x0.
        steps: one entry for each step.
        tv: weight of `reduce_variation` at every restart, per mm.
        tolerance: stop once the residual is `settled`.

    Returns:
        The volume, float32 per mm, and |A x - p| / |p| after every step; at a restart it may rise.
    """
    x = problem.admissible(initial.astype(np.float32))
    constrained = problem.non_negative or tv > 0
    residuals: list[float] = []
    direction = None
    since = 0
    for _ in steps:
        if direction is None:
            residual = problem.views_p - problem.forward(x)
            direction = gradient = problem.supported(problem.transpose(residual))
            size, since = squared(gradient), 0
        views = problem.forward(direction)
        if squared(views) == 0:
            break  # the minimum itself
        length = np.float32(size / squared(views))
        x += length * direction
        residual -= length * views
        since += 1
        if constrained and since == RESTART:
            x = _constrain(problem, x, tv)
            direction = None
        else:
            gradient = problem.supported(problem.transpose(residual))
            size, before = squared(gradient), size
            direction = gradient + np.float32(size / before) * direction
        residuals.append(problem.relative(squared(residual)))
        if settled(residuals, tolerance):
            break
    return (_constrain(problem, x, tv) if constrained and since < RESTART else x), residuals


def _constrain(problem: Problem, x: np.ndarray, tv: float) -> np.ndarray:
    return problem.admissible(reduce_variation(x, tv, threads=problem.threads))
