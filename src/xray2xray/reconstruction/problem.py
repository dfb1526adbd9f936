"""What every reconstruction is given: find x >= 0, zero outside a support, with A x = p."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..projection.forward import Backend, backproject_request, project_request
from ..projection.request import Request

Which = slice | np.ndarray
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Problem:
    """A set of views, the grid to explain them on, and what is known beforehand.

    Attributes:
        views_p: (n, size, size) float32 line integrals p.
        request: how they were taken, and the grid; n poses.
        support: bool of the grid's shape, where there may be anything but air; None is everywhere.
        non_negative: nothing attenuates less than vacuum.
        backend: as in `forward.project`.
    """

    views_p: np.ndarray
    request: Request
    support: np.ndarray | None = None
    non_negative: bool = True
    backend: Backend = "auto"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.request.shape

    @property
    def threads(self) -> int | None:
        return self.request.threads

    def forward(self, mu: np.ndarray, which: Which = ALL) -> np.ndarray:
        """A x for all views or for some of them."""
        return project_request(mu, self._request(which), self.backend)

    def transpose(self, views: np.ndarray, which: Which = ALL) -> np.ndarray:
        """A^T y."""
        return backproject_request(views, self._request(which), self.backend)

    def residual(self, mu: np.ndarray, which: Which = ALL) -> np.ndarray:
        """p - A x: what `mu` leaves unexplained of all views or of some."""
        return self.views_p[which] - self.forward(mu, which)

    def supported(self, mu: np.ndarray) -> np.ndarray:
        """`mu`, set to zero in place outside the support."""
        if self.support is not None:
            mu *= self.support
        return mu

    def admissible(self, mu: np.ndarray) -> np.ndarray:
        """The nearest volume to `mu` that keeps to the support and, if asked, to x >= 0; in place."""
        if self.non_negative:
            np.maximum(mu, 0, out=mu)
        return self.supported(mu)

    def relative(self, residual_squared: float) -> float:
        """|A x - p| / |p| from the square of its numerator; of empty views, the numerator itself."""
        return float(np.sqrt(residual_squared) / (np.sqrt(squared(self.views_p)) or 1.0))

    def _request(self, which: Which) -> Request:
        chosen = np.arange(len(self.request.poses))[which]
        return replace(self.request, poses=tuple(self.request.poses[i] for i in chosen))


def squared(values: np.ndarray) -> float:
    """Sum of squares; in float64, for a sum of millions."""
    return float(np.sum(np.square(values), dtype=np.float64))


def settled(residuals: Sequence[float], tolerance: float) -> bool:
    """Whether the relative residual changed by less than `tolerance` of itself in the last iteration; never for 0."""
    return len(residuals) > 1 and abs(residuals[-2] - residuals[-1]) < tolerance * residuals[-2]
