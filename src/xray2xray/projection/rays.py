"""The rays of a view in the coordinates of a voxel grid, as the kernels take them."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .geometry import Geometry, fan_mm
from .kernels import PAD


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


@dataclass(frozen=True)
class GridRays:
    """One view's rays on one grid.

    Attributes:
        arguments: what both kernels take after the volume and the view.
        sample_mm: (columns, rows) float32, length of ray between two samples.
    """

    arguments: tuple
    sample_mm: np.ndarray


def grid_rays(grid: Grid, isocentre_mm: np.ndarray, geometry: Geometry, yaw_deg: float) -> GridRays:
    """The rays of a view; a column steps through planes of the axis, x or y, along which it crosses more voxels."""
    fan = fan_mm(geometry, yaw_deg)
    isocentre = (isocentre_mm - grid.origin_mm) / grid.step_mm + PAD
    a = fan.start_xy / grid.step_mm[:2] + isocentre[:2]
    b = (fan.end_xy - fan.start_xy) / grid.step_mm[:2]
    az = fan.start_z / grid.step_mm[2] + isocentre[2]
    bz = (fan.end_z - fan.start_z) / grid.step_mm[2]

    across_x = np.abs(b[:, 0]) >= np.abs(b[:, 1])
    columns, main, lane = np.arange(geometry.size), np.where(across_x, 0, 1), np.where(across_x, 1, 0)
    arguments = (
        across_x,
        a[columns, main],
        b[columns, main],
        a[columns, lane],
        b[columns, lane],
        *_line(az),
        *_line(bz),
    )
    run_mm = np.linalg.norm(fan.end_xy - fan.start_xy, axis=1)
    length_mm = np.hypot(run_mm[:, None], (fan.end_z - fan.start_z)[None, :])
    return GridRays(arguments, (length_mm / np.abs(b[columns, main])[:, None]).astype(np.float32))


def _line(values: np.ndarray) -> tuple[float, float]:
    """First value and step of an evenly spaced row of numbers."""
    return float(values[0]), float(values[-1] - values[0]) / max(len(values) - 1, 1)
