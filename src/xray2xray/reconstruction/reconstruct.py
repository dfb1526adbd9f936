"""Views to a volume, by one of three methods behind one function.

The standard arc falls short of 180 degrees plus the fan, so filtered backprojection (`fdk`) is approximate on it; the
iterative methods only ever compare their own views with the given ones, and take any set of angles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.ndimage import maximum_filter

from ..core.errors import InputError
from ..parallel.progress import progress
from ..projection.forward import Backend
from ..projection.geometry import Geometry, Poses, as_poses
from ..projection.request import Request
from ..volume.attenuation import WATER_MU, hu_to_mu, mu_to_hu
from ..volume.volume import Volume
from .cgls import cgls
from .fdk import fdk
from .os_sart import os_sart
from .problem import Problem

Method = Literal["os_sart", "cgls", "fdk"]
EXTENT_MM = 384.0  # edge of the cube about the isocentre that volumes are made on by default
AIR_P = 0.05  # a ray that meets less than 2.5 mm of water has missed the body
ITERATIONS: dict[str, int] = {"os_sart": 10, "cgls": 20, "fdk": 1}
"""How many by default: passes over the views of OS-SART, steps of CGLS, filtered backprojections of FDK."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A volume in HU, and |A x - p| / |p| for every iteration: how much of the views it leaves unexplained."""

    volume: Volume
    residuals: np.ndarray


def reconstruct(
    views_p: np.ndarray,
    geometry: Geometry,
    poses: Poses,
    size: int = 128,
    extent_mm: float = EXTENT_MM,
    method: Method = "os_sart",
    iterations: int | None = None,
    *,
    shape: tuple[int, int, int] | None = None,
    affine: np.ndarray | None = None,
    isocentre_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
    initial: Volume | None = None,
    non_negative: bool = True,
    support: np.ndarray | None = None,
    find_body: bool = True,
    tv: float = 0.0,
    tolerance: float = 0.0,
    subsets: int = 8,
    relaxation: float = 0.7,
    backend: Backend = "auto",
    threads: int | None = None,
    show_progress: bool = True,
) -> Reconstruction:
    """A volume in HU that explains the views; by default `size`^3 voxels over `extent_mm` about the isocentre.

    Args:
        views_p: (n, geometry.size, geometry.size) line integrals.
        geometry: the X-ray set they were taken with.
        poses: n `Pose` objects or yaw angles in degrees.
        size: voxels along each axis; index axes point right, anterior, superior.
        extent_mm: width of the volume; attenuation outside it is attributed to what is inside, so be generous.
        method: `os_sart` for any views; `cgls` for consistent ones; `fdk` for a quick look, or many views of a full
            turn. See docs/results/reconstruction.md.
        iterations: passes or steps; `ITERATIONS` of the method by default.
        shape: voxels along each axis of any other grid, with its `affine`; both replace `size` and `extent_mm`.
        affine: (4, 4), voxel index to RAS+ mm; any order, direction and spacing of the axes.
        isocentre_mm: (3,) RAS mm, where on that grid the X-ray set turned about.
        initial: the volume to start from, on the same grid; by default nothing.
        non_negative: nothing attenuates less than vacuum. HU end at -1000 in any case, but only if it holds
            during the iteration are the views explained without what was cut off.
        support: bool of the grid's shape, where there may be anything but air; everywhere by default.
        find_body: leave air wherever some ray past it met nothing, see `visual_hull`.
        tv: weight of total variation in HU, see `reduce_variation`; 0 is none. The fewer the views, the more is needed.
        tolerance: stop early, once an iteration changes the residual by less than this share of it.
        subsets: of OS-SART: groups of views between which the volume is updated; more are faster and noisier.
        relaxation: of OS-SART: step length, in (0, 2).
        backend: the projector, see `forward`; `fdk` smears back by its own.
        threads: all cores by default.
        show_progress: a bar on a terminal, plain lines elsewhere.

    Raises:
        InputError: views, poses, grid, initial volume, support or settings that do not fit together, or views that are
            not finite.
    """
    posed = as_poses(poses)
    views_p = np.asarray(views_p, np.float32)
    if len(posed) == 0 or views_p.shape != (len(posed), geometry.size, geometry.size) or not np.isfinite(views_p).all():
        raise InputError(
            f"reconstruction needs finite views (n, {geometry.size}, {geometry.size}) and n poses, "
            f"got {views_p.shape} and {len(posed)}"
        )
    count = ITERATIONS.get(method, 0) if iterations is None else iterations
    if method not in ITERATIONS:
        raise InputError(f"no method {method!r}; choose one of {', '.join(ITERATIONS)}")
    if size < 1 or extent_mm <= 0 or count < 1 or subsets < 1 or not 0 < relaxation < 2:
        raise InputError("reconstruction needs size, extent, iterations, subsets > 0 and a relaxation between 0 and 2")
    if not (tv >= 0 and tolerance >= 0):
        raise InputError(f"total variation and tolerance are numbers from 0 on, got tv={tv}, tolerance={tolerance}")
    if (shape is None) != (affine is None):
        raise InputError("a grid is a shape and an affine; give both, or neither for a cube of size and extent_mm")
    if shape is None or affine is None:
        shape, affine = (size, size, size), centred_affine(size, extent_mm)
    if support is not None and support.shape != shape:
        raise InputError(f"the support has shape {support.shape}, the volume {shape}")
    if initial is not None and not (initial.shape == shape and np.allclose(initial.affine, affine, atol=1e-3)):
        raise InputError("the initial volume is on another grid; resample it, or give its shape and affine as the grid")
    problem = Problem(
        views_p,
        Request.of(shape, affine, geometry, posed, isocentre_mm, threads),
        None if support is None else support.astype(bool),
        non_negative,
        backend,
    )
    if find_body:
        hull = visual_hull(problem)
        problem = replace(problem, support=hull if support is None else support & hull)
    start = np.zeros(shape, np.float32) if initial is None else hu_to_mu(initial.hu)
    steps = progress(range(count), "reconstruct") if show_progress else range(count)
    smooth = tv * WATER_MU / 1000
    if method == "os_sart":
        mu, residuals = os_sart(
            problem, start, passes=steps, subsets=subsets, relaxation=relaxation, tv=smooth, tolerance=tolerance
        )
    elif method == "cgls":
        mu, residuals = cgls(problem, start, steps=steps, tv=smooth, tolerance=tolerance)
    else:
        mu, residuals = fdk(problem, start, passes=steps, tv=smooth, tolerance=tolerance)
    volume = Volume(mu_to_hu(mu), problem.request.affine, f"reconstruction from {len(posed)} views")
    return Reconstruction(volume, np.array(residuals))


def visual_hull(problem: Problem) -> np.ndarray:
    """Where the body can be, bool of the grid's shape: not on a ray with p below `AIR_P`.

    A ray counts only if its neighbours met nothing either: pixel and voxel at the edge of a shadow are half air, and
    skin that was carved away could never come back.
    """
    air = (maximum_filter(problem.views_p, size=(1, 3, 3), mode="nearest") < AIR_P).astype(np.float32)
    # Half of what one view gives to a voxel: the rays of one view through it may be of both kinds.
    return problem.transpose(air) <= 0.5 * problem.transpose(np.ones_like(air)) / len(problem.views_p)


def centred_affine(size: int, extent_mm: float) -> np.ndarray:
    """(4, 4): `size` voxels over `extent_mm` along right, anterior and superior, the middle at RAS (0, 0, 0)."""
    step = extent_mm / size
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = -(size - 1) / 2 * step
    return affine
