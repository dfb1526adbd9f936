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
    residual = problem.residual(x)
    constrained = problem.non_negative or tv > 0
    residuals: list[float] = []
    since = 0  # steps since the last start
    for _ in steps:
        if since == 0:
            direction = gradient = problem.supported(problem.transpose(residual))
            size = squared(gradient)
        views = problem.forward(direction)
        if squared(views) == 0:
            break  # the minimum itself
        length = np.float32(size / squared(views))
        x += length * direction
        residual -= length * views
        since += 1
        if constrained and since == RESTART:
            x, residual, since = *_constrained(problem, x, tv), 0
        else:
            gradient = problem.supported(problem.transpose(residual))
            size, before = squared(gradient), size
            direction = gradient + np.float32(size / before) * direction
        residuals.append(problem.relative(squared(residual)))
        if settled(residuals, tolerance):
            break
    if constrained and since > 0:
        x, residual = _constrained(problem, x, tv)
        residuals[-1] = problem.relative(squared(residual))
    return x, residuals


def _constrained(problem: Problem, x: np.ndarray, tv: float) -> tuple[np.ndarray, np.ndarray]:
    """x smoothed and made admissible, and what it leaves unexplained."""
    x = problem.admissible(reduce_variation(x, tv, threads=problem.threads))
    return x, problem.residual(x)
