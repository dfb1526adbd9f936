"""What every reconstruction is given: find x >= 0, zero outside a support, with A x = p."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..projection.forward import Backend, backproject, project
from ..projection.geometry import Geometry, Pose

Which = slice | np.ndarray
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Problem:
    """A set of views, the grid to explain them on, and what is known beforehand.

    Attributes:
        views_p: (n, size, size) float32 line integrals p.
        geometry, poses, isocentre_mm: how they were taken; n poses.
        shape, affine: the grid, voxel index to RAS+ mm.
        support: bool of `shape`, where there may be anything but air; None is everywhere.
        non_negative: nothing attenuates less than vacuum.
        backend, threads: as in `forward.project`.
    """

    views_p: np.ndarray
    geometry: Geometry
    poses: Sequence[Pose]
    shape: tuple[int, int, int]
    affine: np.ndarray
    isocentre_mm: np.ndarray
    support: np.ndarray | None = None
    non_negative: bool = True
    backend: Backend = "auto"
    threads: int | None = None

    def forward(self, mu: np.ndarray, which: Which = ALL) -> np.ndarray:
        """A x for all views or for some of them."""
        poses = self._poses(which)
        return project(mu, self.affine, self.geometry, poses, self.isocentre_mm, self.backend, self.threads)

    def transpose(self, views: np.ndarray, which: Which = ALL) -> np.ndarray:
        """A^T y."""
        return backproject(
            views,
            self.shape,
            self.affine,
            self.geometry,
            self._poses(which),
            self.isocentre_mm,
            self.backend,
            self.threads,
        )

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

    def _poses(self, which: Which) -> list[Pose]:
        return [self.poses[i] for i in np.arange(len(self.poses))[which]]


def squared(values: np.ndarray) -> float:
    """Sum of squares; in float64, for a sum of millions."""
    return float(np.sum(np.square(values), dtype=np.float64))


def settled(residuals: Sequence[float], tolerance: float) -> bool:
    """Whether the relative residual changed by less than `tolerance` of itself in the last iteration; never for 0."""
    return len(residuals) > 1 and abs(residuals[-2] - residuals[-1]) < tolerance * residuals[-2]
