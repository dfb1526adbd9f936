"""Views to a volume: OS-SART, an iterative method that takes any set of angles.

The standard arc falls short of 180 degrees plus the fan, so filtered backprojection would be approximate; the iteration
only ever compares its own views with the given ones.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.ndimage import maximum_filter

from ..errors import InputError
from ..files import progress
from ..volume.attenuation import mu_to_hu
from ..volume.volume import Volume
from .forward import backproject, project
from .geometry import Geometry

AIR_P = 0.05  # a ray that meets less than 2.5 mm of water has missed the body


def reconstruct(
    views_p: np.ndarray,
    geometry: Geometry,
    yaw_deg: Sequence[float] | np.ndarray,
    size: int = 128,
    extent_mm: float = 384.0,
    iterations: int = 10,
    subsets: int = 8,
    relaxation: float = 0.7,
    support: np.ndarray | None = None,
    find_body: bool = True,
    threads: int | None = None,
    show_progress: bool = True,
) -> Volume:
    """A volume in HU that explains the views, of `size`^3 voxels over `extent_mm`, its isocentre at RAS (0, 0, 0).

    Args:
        views_p: (n, geometry.size, geometry.size) line integrals.
        geometry: the X-ray set they were taken with.
        yaw_deg: n angles in degrees.
        size: voxels along each axis; index axes point right, anterior, superior.
        extent_mm: width of the volume; what lies outside it is blamed on what is inside, so be generous.
        iterations: passes over all views.
        subsets: groups of views between which the volume is updated; more are faster and noisier.
        relaxation: step length, in (0, 2).
        support: (size, size, size) bool, where there may be anything but air; everywhere by default.
        find_body: leave air wherever some ray past it met nothing, see `visual_hull`.
        threads: views worked on at the same time; all cores by default.
        show_progress: a bar on a terminal, plain lines elsewhere.

    Raises:
        InputError: views, angles, support or settings that do not fit together, or views that are not finite.
    """
    views_p = np.asarray(views_p, np.float32)
    yaw = np.asarray(yaw_deg, np.float64)
    if len(yaw) == 0 or views_p.shape != (len(yaw), geometry.size, geometry.size) or not np.isfinite(views_p).all():
        raise InputError(
            f"reconstruction wants finite views (n, {geometry.size}, {geometry.size}) and n angles, "
            f"got {views_p.shape} and {yaw.shape}"
        )
    if size < 1 or extent_mm <= 0 or iterations < 1 or subsets < 1 or not 0 < relaxation < 2:
        raise InputError("reconstruction wants size, extent, iterations, subsets > 0 and a relaxation between 0 and 2")
    if support is not None and support.shape != (size, size, size):
        raise InputError(f"the support has shape {support.shape}, the volume ({size}, {size}, {size})")
    affine = centred_affine(size, extent_mm)
    if find_body:
        hull = visual_hull(views_p, geometry, yaw, size, affine, threads)
        support = hull if support is None else support & hull
    passes = range(iterations)
    mu = os_sart(
        views_p,
        geometry,
        yaw,
        np.zeros((size, size, size), np.float32),
        affine,
        passes=progress(passes, "reconstruct") if show_progress else passes,
        subsets=subsets,
        relaxation=relaxation,
        support=support,
        threads=threads,
    )
    return Volume(mu_to_hu(mu), affine, f"reconstruction from {len(yaw)} views")


def os_sart(
    views_p: np.ndarray,
    geometry: Geometry,
    yaw_deg: np.ndarray,
    initial: np.ndarray,
    affine: np.ndarray,
    *,
    passes: Iterable[int],
    subsets: int,
    relaxation: float,
    support: np.ndarray | None = None,
    isocentre_mm: Sequence[float] = (0.0, 0.0, 0.0),
    threads: int | None = None,
) -> np.ndarray:
    """Ordered-subsets SART (Wang and Jiang, J X-Ray Sci Technol 12:169, 2004), attenuation per mm of `initial`'s shape.

    For every subset s of views:  x <- max(0, x + relaxation * (A_s^T (p_s - A_s x) / A_s 1) / A_s^T 1).
    """

    def forward(image: np.ndarray, angles: np.ndarray) -> np.ndarray:
        return project(image, affine, geometry, angles, isocentre_mm, threads=threads)

    def transpose(views: np.ndarray, angles: np.ndarray) -> np.ndarray:
        return backproject(views, initial.shape, affine, geometry, angles, isocentre_mm, threads=threads)

    where = np.ones_like(initial) if support is None else support.astype(np.float32)
    subsets = min(subsets, len(yaw_deg))
    groups = [np.arange(first, len(yaw_deg), subsets) for first in _far_apart(subsets)]
    length = forward(where, yaw_deg)
    ray_weight = _inverse(length)
    voxel_weight = [
        relaxation * where * _inverse(transpose((length[group] > 0).astype(np.float32), yaw_deg[group]))
        for group in groups
    ]
    mu = initial * where
    for _ in passes:
        for group, weight in zip(groups, voxel_weight, strict=True):
            residual = views_p[group] - forward(mu, yaw_deg[group])
            mu += weight * transpose(residual * ray_weight[group], yaw_deg[group])
            np.maximum(mu, 0, out=mu)
    return mu


def _inverse(weights: np.ndarray) -> np.ndarray:
    """1 / weights; 0 where hardly anything was met, which says little and would be divided by next to nothing."""
    enough = weights > 0.01 * weights.max()
    return np.where(enough, 1 / np.where(enough, weights, 1), 0).astype(np.float32)


def visual_hull(
    views_p: np.ndarray,
    geometry: Geometry,
    yaw_deg: np.ndarray,
    size: int,
    affine: np.ndarray,
    threads: int | None = None,
) -> np.ndarray:
    """Where the body can be, (size, size, size) bool: not on a ray with p below `AIR_P`.

    A ray counts only if its neighbours met nothing either: pixel and voxel at the edge of a shadow are half air, and
    skin that was carved away could never come back.
    """
    air = (maximum_filter(views_p, size=(1, 3, 3), mode="nearest") < AIR_P).astype(np.float32)

    def transpose(views: np.ndarray) -> np.ndarray:
        return backproject(views, (size, size, size), affine, geometry, yaw_deg, (0.0, 0.0, 0.0), threads=threads)

    # Half of what one view gives to a voxel: the rays of one view through it may be of both kinds.
    return transpose(air) <= 0.5 * transpose(np.ones_like(air)) / len(yaw_deg)


def centred_affine(size: int, extent_mm: float) -> np.ndarray:
    """(4, 4): `size` voxels over `extent_mm` along right, anterior and superior, the middle at RAS (0, 0, 0)."""
    step = extent_mm / size
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = -(size - 1) / 2 * step
    return affine


def _far_apart(count: int) -> list[int]:
    """0..count-1 in an order in which neighbours come far apart (van der Corput), as ordered subsets want them."""
    bits = max(1, (count - 1).bit_length())
    return [i for i in (int(f"{n:0{bits}b}"[::-1], 2) for n in range(1 << bits)) if i < count]
