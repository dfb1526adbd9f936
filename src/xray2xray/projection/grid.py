"""A voxel grid as the projectors see it: which axis runs where, and the part of it that attenuates."""

from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError


@dataclass(frozen=True)
class Grid:
    """A voxel grid whose axes are those of the body, in any order and direction.

    Attributes:
        order: which axis of the array runs along x, y and z.
        origin_mm: (3,) centre of voxel (0, 0, 0), RAS.
        step_mm: (3,) from one voxel to the next along x, y and z; negative where the index runs the other way.
    """

    order: tuple[int, int, int]
    origin_mm: np.ndarray
    step_mm: np.ndarray


def axis_order(affine: np.ndarray) -> tuple[int, int, int] | None:
    """Which voxel axis runs most nearly along x, y and z; None where an axis of the array would have to serve twice.

    Raises:
        InputError: the affine is singular or not finite.
    """
    affine = np.asarray(affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise InputError("the affine of the volume is singular, not finite or not 4 x 4; it must map voxels to RAS mm")
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    x, y, z = (int(axis) for axis in np.argmax(np.abs(directions), axis=1))
    return (x, y, z) if {x, y, z} == {0, 1, 2} else None


def axis_aligned(affine: np.ndarray) -> Grid | None:
    """The grid that `affine` describes, or None for an oblique one. Raises InputError as `axis_order`."""
    order = axis_order(affine)
    if order is None:
        return None
    affine = np.asarray(affine, np.float64)
    step = affine[np.arange(3), order]
    if not np.allclose(np.abs(step), np.linalg.norm(affine[:3, order], axis=0), rtol=1e-7):
        return None
    return Grid(order, affine[:3, 3], step)


def attenuating_box(mu: np.ndarray) -> tuple[slice, slice, slice]:
    """The smallest box that holds every voxel that is not zero; empty where all are.

    Rays need not be followed through the air around a patient: half of a scan and more.
    """
    box = [slice(0, n) for n in mu.shape]
    for axis in range(3):
        first, last = 0, mu.shape[axis]
        planes = np.moveaxis(mu[tuple(box)], axis, 0)
        while first < last and not planes[first].any():
            first += 1
        while first < last and not planes[last - 1].any():
            last -= 1
        box[axis] = slice(first, last)
    return box[0], box[1], box[2]
