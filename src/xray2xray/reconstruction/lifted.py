"""A lifted state made to agree with further views: multiplicative updates, view by view.

Each update multiplies every cell by how much more, or less, the rays of one view through it have measured than the
state explains (MART: Gordon, Bender and Herman, J. Theor. Biol. 29:471, 1970). What one view leaves open stays as the
state has it; air stays air. The state's own view is restored exactly at the end.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..core.errors import InputError
from ..projection.frustum import march, smear
from ..projection.geometry import Geometry, Pose
from ..projection.lifted import Lifted, extended

PASSES = 4
MOST = 4.0  # largest factor of one update; its inverse is the smallest
EMPTY_P = 1e-4


def agreed(
    state: Lifted,
    views_p: np.ndarray,
    poses: Sequence[Pose],
    geometry: Geometry | None = None,
    passes: int = PASSES,
    threads: int | None = None,
) -> Lifted:
    """The state, changed as little as these views demand.

    Args:
        views_p: (n, size, size) line integrals from n poses, beside the view that the state was lifted from.
        geometry: of these views; the state's own by default.
        passes: over all views.

    Raises:
        InputError: views and poses that do not fit together.
    """
    geometry = geometry or state.frustum.geometry
    if views_p.shape != (len(poses), geometry.size, geometry.size) or not np.isfinite(views_p).all():
        raise InputError(f"{len(poses)} finite views of {geometry.size} pixels a side are wanted, got {views_p.shape}")
    sample_mm = state.frustum.sample_mm.astype(np.float32)
    grid = state.portions() / sample_mm
    even = np.ones((geometry.size, geometry.size), np.float32)
    weights = [smear(even, state.frustum, geometry, pose) for pose in poses]
    least = 1e-3 * max(float(weight.max()) for weight in weights)  # a cell that rays hardly touch learns nothing
    for _ in range(passes):
        for view_p, pose, weight in zip(views_p, poses, weights, strict=True):
            (explained_p,) = march(grid, state.frustum, geometry, [pose], threads)
            ratio = np.where(
                explained_p > EMPTY_P, np.maximum(view_p, 0) / np.maximum(explained_p, EMPTY_P), np.float32(1)
            )
            factor = smear(np.clip(ratio, 1 / MOST, MOST).astype(np.float32), state.frustum, geometry, pose)
            grid *= np.where(weight > least, factor / np.maximum(weight, least), np.float32(1))
        grid = _as_measured(state, grid * sample_mm) / sample_mm
    portions = grid * sample_mm
    p = portions.sum(axis=0)
    w = np.where(p > EMPTY_P, portions / np.maximum(p, EMPTY_P), np.float32(1 / len(portions)))
    return replace(state, p=extended(state.p[state.frustum.detector], state.frustum, p), w=w.astype(np.float32))


def _as_measured(state: Lifted, portions: np.ndarray) -> np.ndarray:
    """The portions, rescaled along the rays on the detector to the line integrals that the state's view has measured.

    A ray that has measured something and that the others have emptied is filled evenly again.
    """
    rows, columns = state.frustum.detector
    inside = portions[:, rows, columns]
    total, measured = inside.sum(axis=0), state.p[rows, columns]
    emptied = (total <= EMPTY_P) & (measured > EMPTY_P)
    inside *= np.where(total > EMPTY_P, measured / np.maximum(total, EMPTY_P), np.float32(0))
    inside += np.where(emptied, measured / len(portions), np.float32(0))
    return portions
