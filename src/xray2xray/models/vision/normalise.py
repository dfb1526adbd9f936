"""The one scale on which networks see a view."""

from torch import Tensor

MAX_LINE_INTEGRAL = 10.0  # dimensionless; chests reach about 8.4 laterally, so hardly anything is clipped


def to_network(views_p: Tensor) -> Tensor:
    """Line integrals p (any shape, dimensionless) to network values in [-1, 1]: `clip(p, 0, 10) / 5 - 1`."""
    half = MAX_LINE_INTEGRAL / 2
    return views_p.clamp(0.0, MAX_LINE_INTEGRAL) / half - 1.0


def from_network(x: Tensor) -> Tensor:
    """The inverse of `to_network`; values outside [-1, 1] are clipped, as a line integral is never negative."""
    half = MAX_LINE_INTEGRAL / 2
    return (x.clamp(-1.0, 1.0) + 1.0) * half
