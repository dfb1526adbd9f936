"""Which rays saw all of the patient that lies in their way: a scan is cut above, below and at the scanner's circle."""

import numpy as np
from scipy.ndimage import binary_dilation

from ..volume.volume import Volume, body_mask, canonical, isocentre_mm
from .forward import project
from .geometry import Geometry, Poses, as_poses

GRID_MM = 4.0  # fine enough to tell where a scan ends, and a hundred times faster than the scan's own grid
BEYOND_MM = 24.0  # how far the patient is taken to go on beyond a cut side
MISSING_MM = 2.0  # of path through what was not scanned; less is the blur of a voxel


def valid_rays(volume: Volume, geometry: Geometry, poses: Poses, threads: int | None = None) -> np.ndarray:
    """bool (n, size, size): whether a ray's way through the patient lies inside the scanned field of view.

    What was not scanned is drawn and projected: the patient's axial outline, prolonged above and below the scan as far
    as any ray can go; and where the patient is cut by the scanner's circle or by a side of the grid, what lies just
    beyond. A ray that meets it for more than 2 mm is not valid. Poses and isocentre are those of `render`.
    """
    volume, posed = canonical(volume), as_poses(poses)
    steps = [max(1, round(GRID_MM / mm)) for mm in volume.spacing_mm]
    body = body_mask(volume)[tuple(slice(None, None, step) for step in steps)]
    scanned = _scanned(volume)[:: steps[0], :: steps[1]]
    spacing = volume.spacing_mm * steps

    side = [int(np.ceil(BEYOND_MM / mm)) for mm in spacing[:2]]
    reach_mm = geometry.detector_mm + max((abs(pose.translation_mm[2]) for pose in posed), default=0.0)
    ends = int(np.ceil(reach_mm / spacing[2]))
    body = np.pad(body, [(side[0],) * 2, (side[1],) * 2, (0, 0)])
    unscanned = np.pad(~scanned, [(side[0],) * 2, (side[1],) * 2], constant_values=True)

    across = np.zeros((3, 3, 3), bool)
    across[:, 1, 1] = across[1, :, 1] = True
    outside = np.broadcast_to(unscanned[..., None], body.shape)
    cut = body & ~outside & binary_dilation(outside, across, iterations=2)
    beyond = binary_dilation(cut, across, iterations=max(side)) & outside
    outline = (body | beyond).any(axis=2)[..., None]
    cap = np.broadcast_to(outline, (*outline.shape[:2], ends))
    missing = np.concatenate([cap, beyond, cap], axis=2).astype(np.float32)

    affine = volume.affine.copy()
    affine[:3, :3] *= steps
    affine[:3, 3] -= affine[:3, :3] @ [side[0], side[1], ends]
    return project(missing, affine, geometry, posed, isocentre_mm(volume), threads=threads) < MISSING_MM


def _scanned(volume: Volume) -> np.ndarray:
    """bool (nx, ny) of a canonical volume: inside the scanner's circle.

    Beyond it every plane holds the same filling. So does air without noise around a virtual patient; but what is left
    of a circle fills the grid from side to side, and its square to pi / 4 and more.
    """
    scanned = (volume.hu != volume.hu[:, :, :1]).any(axis=2)
    columns, rows = np.flatnonzero(scanned.any(axis=1)), np.flatnonzero(scanned.any(axis=0))
    if volume.shape[2] < 2 or len(columns) == 0:
        return np.ones_like(scanned)
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    round_field = min(width / scanned.shape[0], height / scanned.shape[1]) > 0.95
    return scanned if round_field and scanned.sum() > 0.74 * width * height else np.ones_like(scanned)
