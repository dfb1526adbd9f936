"""Could these views be of one chest? Three tests of a set of views, none of which needs the truth.

*Row sums*: turning the patient moves mass within a row only, so in a parallel beam the sum over a row is the same at
every yaw (Helgason and Ludwig's condition of order zero). *Mirror*: views from opposite sides are each other's mirror
image. *Range*: what the best volume leaves unexplained. In a cone beam the first two hold nearly, not exactly, and the
third up to the grid: the same numbers of the true views are the floor.
"""

import numpy as np

from ..projection.geometry import STANDARD_ARC, Geometry
from ..reconstruction.reconstruct import reconstruct
from .metrics import Array

GRID = 48  # voxels along an edge, and CGLS steps, of the volume that is to explain the views
STEPS = 15
PIXELS = 32


def consistency(views_p: Array, geometry: Geometry) -> dict[str, float]:
    """{"row_sums", "mirror", "range"} of views (37, h, w) of the standard arc, each relative; 0 is consistent."""
    return {
        "row_sums": row_sums(views_p),
        "mirror": mirror(views_p[0], views_p[-1]),
        "range": distance_to_range(views_p, geometry),
    }


def row_sums(views_p: Array) -> float:
    """Standard deviation over the angles of the sum of each row, root mean square over rows, over that of the sums."""
    sums = np.asarray(views_p, np.float64).sum(axis=-1)  # (angles, rows)
    return float(np.sqrt(sums.var(axis=0).mean() / np.square(sums).mean()))


def mirror(right_p: Array, left_p: Array) -> float:
    """|view from one side - mirrored view from the other| / |view|."""
    return float(np.linalg.norm(right_p - left_p[:, ::-1]) / np.linalg.norm(right_p))


def distance_to_range(views_p: Array, geometry: Geometry) -> float:
    """|A x - p| / |p| of the volume x >= 0 that explains the views best, on a coarse grid, after a fixed few steps."""
    factor = max(1, geometry.size // PIXELS)
    coarse = Geometry(
        geometry.name, geometry.beam, geometry.sdd_mm, geometry.sod_mm, geometry.detector_mm, geometry.size // factor
    )
    pooled = views_p.reshape(len(views_p), coarse.size, factor, coarse.size, factor).mean(axis=(2, 4))
    found = reconstruct(
        pooled, coarse, STANDARD_ARC, size=GRID, method="cgls", iterations=STEPS, find_body=False, show_progress=False
    )
    return float(found.residuals[-1])
