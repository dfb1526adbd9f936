"""Which rays saw all of the patient that lies in their way: a scan is cut above, below and at the scanner's circle."""

import numpy as np
from scipy.ndimage import binary_dilation

from ..volume.chest import Chest
from ..volume.volume import Volume, canonical
from .forward import project
from .geometry import Geometry, Poses, as_poses

GRID_MM = 4.0  # fine enough to tell where a scan ends, and a hundred times faster than the scan's own grid
BEYOND_MM = 24.0  # how far the patient is taken to go on beyond a cut side
MISSING_MM = 2.0  # of path through what was not scanned; less is the blur of a voxel
TAPERED = 0.1  # a body that ends in a plane of less than this share of its largest one is whole


def valid_rays(volume: Volume, geometry: Geometry, poses: Poses, threads: int | None = None) -> np.ndarray:
    """bool (n, size, size): whether a ray's way through the patient lies inside the scanned field of view.

    What was not scanned is drawn and projected: where the body is cut by the first or last scanned plane, its outline
    there, prolonged as far as any ray can go; where it is cut by the scanner's circle or by a side of the grid, what
    lies just beyond. A ray that meets it for more than 2 mm is not valid. Poses and isocentre are those of `render`.
    """
    volume, posed = Chest.of(canonical(volume)), as_poses(poses)
    steps = [max(1, round(GRID_MM / mm)) for mm in volume.spacing_mm]
    body = volume.body[tuple(slice(None, None, step) for step in steps)]
    scanned = _circle(volume)[:: steps[0], :: steps[1]]
    planes = _planes(volume)[:: steps[2]]
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
    missing = np.pad(beyond, [(0, 0), (0, 0), (ends, ends)])
    low, high = int(np.argmax(planes)), len(planes) - int(np.argmax(planes[::-1]))
    for end, above in ((low, slice(0, ends + low)), (high - 1, slice(ends + high, None))):
        outline = body[:, :, end] | beyond[:, :, end]
        if outline.sum() > TAPERED * body.sum(axis=(0, 1)).max():
            missing[:, :, above] = outline[..., None]

    affine = volume.affine.copy()
    affine[:3, :3] *= steps
    affine[:3, 3] -= affine[:3, :3] @ [side[0], side[1], ends]
    return (
        project(missing.astype(np.float32), affine, geometry, posed, volume.isocentre_mm, threads=threads) < MISSING_MM
    )


def _circle(volume: Volume) -> np.ndarray:
    """bool (nx, ny) of a canonical volume: inside the scanner's circle; True everywhere where there is none.

    Beyond it every plane holds the same filling. So does air without noise around a virtual patient: what is scanned
    must be round, or all of the grid but for its corners.
    """
    scanned = (volume.hu != volume.hu[:, :, :1]).any(axis=2)
    if not scanned.any():
        return np.ones_like(scanned)
    width, height = (int(np.ptp(np.flatnonzero(scanned.any(axis=axis)))) + 1 for axis in (1, 0))
    filled = scanned.sum() / (width * height)
    is_round = abs(width / height - 1) < 0.05 and abs(filled - np.pi / 4) < 0.03
    is_grid = min(width / scanned.shape[0], height / scanned.shape[1]) > 0.95 and filled > 0.74
    return scanned if is_round or is_grid else np.ones_like(scanned)


def _planes(volume: Volume) -> np.ndarray:
    """bool (nz,) of a canonical volume: planes that hold more than one value, and so have been scanned."""
    scanned = (volume.hu != volume.hu[:1, :1, :]).any(axis=(0, 1))
    return scanned if scanned.any() else np.ones_like(scanned)
