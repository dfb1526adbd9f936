"""FDK: filtered backprojection of a cone beam; one pass, exact in the limit of many views of a full turn."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numba import njit
from scipy.fft import irfft, next_fast_len, rfft

from ..core.errors import InputError
from ..parallel.threads import on_threads, workers
from ..projection.geometry import Geometry, Pose
from .problem import Problem, settled, squared
from .total_variation import reduce_variation


def fdk(
    problem: Problem, initial: np.ndarray, *, passes: Iterable[int], tv: float = 0.0, tolerance: float = 0.0
) -> tuple[np.ndarray, list[float]]:
    """Feldkamp, Davis and Kress, J Opt Soc Am A 1:612, 1984, applied to what the volume does not yet explain.

    A pass is  x <- x + FDK(p - A x), then the support, x >= 0 and total variation. The first one, from nothing, is
    FDK itself; more of them are filtered SIRT, which mends part of what a half turn or few views leave, until it
    diverges where they leave too much.

    Args:
        problem: the views and the grid.
        initial: float32 of the grid's shape, attenuation per mm to start from.
        passes: one entry for each pass.
        tv: weight of `reduce_variation` after every pass, per mm.
        tolerance: stop once the residual is `settled`.

    Returns:
        The volume, float32 per mm, and |A x - p| / |p| after every pass.

    Raises:
        InputError: a pose has pitch or roll, so that the source leaves the circle.
    """
    x = problem.admissible(initial.astype(np.float32))
    missing = problem.residual(x)
    residuals: list[float] = []
    for _ in passes:
        x += backproject_filtered(problem, missing)
        x = problem.admissible(reduce_variation(x, tv, threads=problem.threads))
        missing = problem.residual(x)
        residuals.append(problem.relative(squared(missing)))
        if settled(residuals, tolerance):
            break
    return x, residuals


def backproject_filtered(problem: Problem, views: np.ndarray) -> np.ndarray:
    """FDK of line integrals (n, size, size) taken as the problem's were: attenuation per mm, float32.

    Views are weighted by the cosine of the obliquity, filtered along their rows and backprojected with 1 / U^2, U being
    the distance from the source along the central ray over SOD. In a parallel beam both weights are 1, and this is
    filtered backprojection.

    In the plane of the source it is exact for many views of a full turn. A half turn is approximate in a cone beam:
    some lines are seen twice and some never (they would need half a turn plus the fan, and Parker's weights), which
    makes the side that the source passes too dense and the other too light. A body that reaches beyond the detector is
    too dense at its edge.
    """
    geometry, poses, shape = problem.request.geometry, problem.request.poses, problem.shape
    if not all(pose.upright for pose in poses):
        raise InputError("FDK needs the source on a circle: no pitch and no roll; use os_sart or cgls for other poses")
    weights = view_weights(np.array([pose.yaw_deg for pose in poses]))
    filtered = _filtered(views, geometry) * weights[:, None, None].astype(np.float32)
    to_set = np.stack([_to_set(pose, problem.request.affine, problem.request.isocentre_mm) for pose in poses])
    volume = np.zeros(shape, np.float32)
    cuts = np.linspace(0, shape[0], min(4 * workers(problem.threads), shape[0]) + 1).astype(int)
    source = (geometry.beam == "cone", geometry.sod_mm, geometry.sdd_mm, geometry.pixel_mm)
    on_threads(
        lambda slab: _backproject(volume, filtered, to_set, *source, *slab), pairwise(cuts.tolist()), problem.threads
    )
    return volume


def view_weights(yaw_deg: np.ndarray) -> np.ndarray:
    """(n,) float64, radians of a half turn that each view stands for.

    A line is the same seen from either end, so angles count modulo a half turn, and a view gets half of the gap to the
    next angle on either side; views of one angle share. They add up to pi unless a stretch was not seen: a gap of more
    than twice the usual one (the median of all views) is not made up for by the views at its edge.
    """
    yaw_deg = np.asarray(yaw_deg, np.float64)
    spacing = np.diff(np.unique(np.round(yaw_deg, 6)))
    most = 2 * np.median(spacing) if len(spacing) else 180.0
    folded, which, shared = np.unique(np.round(yaw_deg % 180.0, 6) % 180.0, return_inverse=True, return_counts=True)
    gaps = np.minimum(np.diff(folded, append=folded[0] + 180.0), most)
    return np.deg2rad((gaps + np.roll(gaps, 1)) / 2 / shared)[which]


def _filtered(views: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Views convolved along their rows with the ramp, float32, per mm, at the scale of the isocentre.

    The ramp is sampled in space (Kak and Slaney, Principles of Computerized Tomographic Imaging, 1988, eq. 3.61),
    since sampling it in frequency would lose the mean, and damped by a Hann window that ends at the Nyquist frequency.
    """
    pitch = geometry.pixel_mm / geometry.magnification
    offsets = geometry.offsets_mm / geometry.magnification
    if geometry.beam == "cone":
        squares = offsets**2
        views = views * (geometry.sod_mm / np.sqrt(geometry.sod_mm**2 + squares + squares[:, None]))
    length = next_fast_len(2 * geometry.size, real=True)
    n = np.fft.fftfreq(length, 1 / length)
    ramp = np.zeros(length)
    ramp[n % 2 == 1] = -1 / (np.pi * n[n % 2 == 1] * pitch) ** 2
    ramp[0] = 1 / (4 * pitch**2)
    response = rfft(ramp).real * pitch
    response *= 0.5 + 0.5 * np.cos(2 * np.pi * np.fft.rfftfreq(length))
    return irfft(rfft(views, length) * response, length)[..., : geometry.size].astype(np.float32)


def _to_set(pose: Pose, affine: np.ndarray, isocentre_mm: np.ndarray) -> np.ndarray:
    """(3, 4): voxel index to mm along the X-ray set's columns, its central ray and its rows, from the isocentre."""
    along = pose.rotation.T * np.array([-1.0, 1.0, -1.0])[:, None]
    origin = affine[:3, 3] - isocentre_mm - pose.translation_mm
    return along @ np.column_stack([affine[:3, :3], origin])


@njit(nogil=True, cache=True, error_model="numpy")
def _backproject(volume, views, to_set, cone, sod, sdd, pixel, first, last):  # type: ignore[no-untyped-def]
    """Planes first..last-1: the sum over views of what each shows at the voxel, bilinear, over U^2."""
    size = views.shape[1]
    middle = (size - 1) / 2
    for v in range(len(views)):
        view, m = views[v], to_set[v]
        for i in range(first, last):
            for j in range(volume.shape[1]):
                line = volume[i, j]
                x0 = m[0, 0] * i + m[0, 1] * j + m[0, 3]
                y0 = m[1, 0] * i + m[1, 1] * j + m[1, 3]
                z0 = m[2, 0] * i + m[2, 1] * j + m[2, 3]
                for k in range(len(line)):
                    scale, weight = 1 / pixel, 1.0
                    if cone:
                        depth = sod + y0 + m[1, 2] * k
                        if depth <= 0:
                            continue
                        scale, weight = sdd / (depth * pixel), (sod / depth) ** 2
                    column = (x0 + m[0, 2] * k) * scale + middle
                    row = (z0 + m[2, 2] * k) * scale + middle
                    if column < 0 or row < 0 or column > size - 1 or row > size - 1:
                        continue
                    c, r = min(int(column), size - 2), min(int(row), size - 2)
                    dc, dr = column - c, row - r
                    above = view[r, c] * (1 - dc) + view[r, c + 1] * dc
                    below = view[r + 1, c] * (1 - dc) + view[r + 1, c + 1] * dc
                    line[k] += weight * (above * (1 - dr) + below * dr)
