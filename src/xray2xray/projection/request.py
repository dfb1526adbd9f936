"""What a projector is asked for: a grid, an X-ray set and its poses; checked once, and the same for every backend."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from ..core.errors import InputError
from .geometry import Geometry, Pose, Poses, as_poses
from .grid import Grid, axis_aligned, axis_order


@dataclass(frozen=True, eq=False)
class Request:
    """The views `poses` of a volume, or the volume of such views; make it with `Request.of`, which checks all of it.

    Attributes:
        shape: (nx, ny, nz) of the volume.
        affine: (4, 4) float64, voxel index to RAS+ mm.
        geometry: the X-ray set.
        poses: n of them.
        isocentre_mm: (3,) float64, RAS mm.
        threads: all cores where None.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    geometry: Geometry
    poses: tuple[Pose, ...]
    isocentre_mm: np.ndarray
    threads: int | None = None

    @classmethod
    def of(
        cls,
        shape: Sequence[int],
        affine: np.ndarray,
        geometry: Geometry,
        poses: Poses,
        isocentre_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
        threads: int | None = None,
    ) -> Self:
        """Raises InputError: an empty shape or one not of three axes, a singular affine, a bad pose or isocentre."""
        if len(shape) != 3 or 0 in shape:
            raise InputError(f"a volume has three axes of at least one voxel each, got shape {tuple(shape)}")
        axis_order(affine)
        isocentre = np.asarray(isocentre_mm, np.float64)
        if isocentre.shape != (3,) or not np.isfinite(isocentre).all():
            raise InputError(f"the isocentre is three finite millimetres, got {isocentre_mm!r}")
        box, matrix = (shape[0], shape[1], shape[2]), np.asarray(affine, np.float64)
        return cls(box, matrix, geometry, tuple(as_poses(poses)), isocentre, threads)

    @cached_property
    def grid(self) -> Grid | None:
        """The grid if its axes are those of the body, None for an oblique one."""
        return axis_aligned(self.affine)

    @cached_property
    def order(self) -> tuple[int, int, int]:
        """Which axis of the array runs most nearly along x, y and z."""
        return axis_order(self.affine) or (0, 1, 2)

    @cached_property
    def to_voxels(self) -> tuple[np.ndarray, np.ndarray]:
        """(3, 3) matrix and (3,) offset: mm from the isocentre to voxels along the axes in `order`."""
        inverse = np.linalg.inv(self.affine)[list(self.order)]
        return inverse[:, :3], inverse[:, :3] @ self.isocentre_mm + inverse[:, 3]

    @property
    def ordered_shape(self) -> tuple[int, int, int]:
        """Voxels along x, y and z."""
        x, y, z = (self.shape[axis] for axis in self.order)
        return x, y, z

    @property
    def views_shape(self) -> tuple[int, int, int]:
        """(n, size, size)."""
        return len(self.poses), self.geometry.size, self.geometry.size

    def ordered(self, volume: np.ndarray) -> np.ndarray:
        """The array with its axes along x, y and z; not copied."""
        return volume.transpose(self.order)

    def restored(self, volume: np.ndarray) -> np.ndarray:
        """The inverse of `ordered`, contiguous."""
        return np.ascontiguousarray(volume.transpose(np.argsort(self.order)))
