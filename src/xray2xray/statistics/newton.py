"""Newton's method for the convex losses of calibration and of the time-to-event heads."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import LinAlgError, solve

from ..core.errors import InputError
from .checks import Array


def newton(loss: Callable[[Array], tuple[float, Array, Array]], start: Array, steps: int = 100) -> Array:
    """The minimum of a convex `loss`, which returns its value, gradient (d,) and Hessian (d, d).

    Steps are halved until the value falls. What a full step would still gain is half of gradient times step; the
    search ends once that is lost in rounding.

    Raises:
        InputError: there is no single minimum: features repeat each other, or separate the outcomes perfectly.
    """
    x, (value, gradient, hessian) = start, loss(start)
    for _ in range(steps):
        try:
            step = solve(hessian, gradient, assume_a="pos")
        except LinAlgError:
            break
        if gradient @ step < 1e-15 * (1 + abs(value)):
            return x
        for halving in 0.5 ** np.arange(40):
            trial = loss(x - halving * step)
            if trial[0] <= value + 1e-14 * abs(value):
                x, (value, gradient, hessian) = x - halving * step, trial
                break
        else:
            return x
    raise InputError("the fit does not settle: features repeat each other or separate the outcomes; use a penalty")
