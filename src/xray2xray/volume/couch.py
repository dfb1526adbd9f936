"""A CT without the couch: nothing but the patient."""

import numpy as np
from scipy import ndimage
from scipy.spatial import Delaunay, QhullError

from .volume import ANALYSIS_MM, BODY_HU, Volume, body_mask

AIR_HU = -1000.0
ARM_RADIUS_MM = 10.0  # what survives so thick an erosion is solid; shells of couches and sheets are not
ARM_HU = (-200.0, 150.0)  # the median of muscle, fat and bone; foam lies far below, beams of the couch above
ARM_ML = 100.0  # an upper arm has four times as much
LUNG_HU = (-950.0, BODY_HU)  # the median of a lung; room air lies below
LUNG_ML = 50.0


def remove_couch(volume: Volume) -> Volume:
    """The same scan with couch, cushions, sheets and cables replaced by air; voxels of the body mask are untouched.

    The patient is `body_mask`, arms that lie apart from it, and lungs that the scanner's circle has cut open (of those,
    a rim at the circle may be lost: about 1 % of the patient). One voxel of partial volume is left around the skin.
    """
    hu, body = volume.hu, body_mask(volume)
    patient = body
    if body.any():
        stride = [max(1, round(ANALYSIS_MM / mm)) for mm in volume.spacing_mm]
        coarse = tuple(slice(None, None, step) for step in stride)
        millilitres = float(np.prod(volume.spacing_mm * stride)) / 1000
        few, inside = hu[coarse], body[coarse]
        along_z = int(np.argmax(np.abs(volume.affine[2, :3]) / volume.spacing_mm))
        lungs = _large((few < BODY_HU) & ~inside & _hulls(inside, along_z), few, LUNG_HU, LUNG_ML / millilitres)
        lungs = ndimage.binary_closing(lungs, iterations=3)  # with their vessels
        arms = _arms(few, ~inside, ARM_ML / millilitres)
        patient = patient | _refine(lungs, stride, hu.shape)
        patient = patient | (_refine(ndimage.binary_dilation(arms), stride, hu.shape) & (hu > BODY_HU))
    patient = ndimage.binary_dilation(patient)
    return Volume(np.where(patient, hu, np.minimum(hu, np.float32(AIR_HU))), volume.affine, volume.source)


def _arms(hu: np.ndarray, where: np.ndarray, voxels: float) -> np.ndarray:
    """bool: parts that are thick and as dense as tissue."""
    steps = max(1, round(ARM_RADIUS_MM / ANALYSIS_MM))
    dense = (hu > BODY_HU) & where
    # the ends of the scan cut arms off: nothing is eroded from there
    core = ndimage.binary_erosion(dense, iterations=steps, border_value=1)
    return ndimage.binary_dilation(_large(core, hu, ARM_HU, voxels / 4), iterations=steps, mask=dense)


def _large(mask: np.ndarray, hu: np.ndarray, bounds: tuple[float, float], voxels: float) -> np.ndarray:
    """The connected parts of `mask` of at least so many voxels whose median lies within `bounds`."""
    parts, count = ndimage.label(mask)
    numbers = np.arange(1, count + 1)
    if count == 0:
        return mask
    median = ndimage.median(hu, parts, numbers)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return np.isin(parts, numbers[(bounds[0] < median) & (median < bounds[1]) & (sizes >= voxels)])


def _hulls(mask: np.ndarray, axis: int) -> np.ndarray:
    """The convex hull of every plane across `axis`."""
    hulls = np.zeros_like(mask)
    for plane, hull in zip(np.moveaxis(mask, axis, 0), np.moveaxis(hulls, axis, 0)):
        edge = np.argwhere(plane & ~ndimage.binary_erosion(plane))
        try:
            hull[...] = Delaunay(edge).find_simplex(np.argwhere(np.ones_like(plane))).reshape(plane.shape) >= 0
        except (QhullError, ValueError):  # fewer than three voxels, or all on one line: nothing is between them
            continue
    return hulls


def _refine(mask: np.ndarray, stride: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Nearest neighbour back to the full grid; coarse voxel n sits on fine voxel n x stride."""
    index = [np.minimum((np.arange(n) + step // 2) // step, few - 1) for n, step, few in zip(shape, stride, mask.shape)]
    return mask[np.ix_(*index)]
