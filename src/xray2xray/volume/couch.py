"""A CT without the couch: nothing but the patient."""

import numpy as np
from scipy import ndimage
from scipy.spatial import Delaunay, QhullError

from .chest import ANALYSIS_MM, BODY_HU, Chest, analysis_stride, body_mask, refine
from .volume import Volume

AIR_HU = -1000.0
SOLID_MM = 5.0  # what survives so thick an erosion is solid; shells, sheets and the mattress under a back are not
ARM_HU = (-200.0, 150.0)  # the median of muscle, fat and bone; foam lies far below, beams of the couch above
ARM_ML = 25.0  # of its solid core; an upper arm has ten times as much in all
LUNG_HU = (-950.0, BODY_HU)  # the median of a lung; room air lies below
LUNG_ML = 12.5
LUNG_REACH_MM = 35.0  # how far a lung may go on beyond its solid core
SHELL_MM = 4.0  # a couch's shell and a necklace are thinner than twice this, the patient is not


def remove_couch(volume: Volume) -> Chest:
    """The same scan with couch, cushions, sheets and cables replaced by air; the patient's own voxels are untouched.

    The patient is `body_mask`, arms that lie apart from it, and lungs that the scanner's circle has cut open, less
    what is thin: where the back nearly touches the couch, `body_mask` holds pieces of its shell. Around the skin one
    voxel is left where it is thinner than -500 HU, the skin's partial volume.
    """
    hu, body = volume.hu, body_mask(volume)
    along_z = int(np.argmax(np.abs(volume.affine[2, :3]) / volume.spacing_mm))
    in_plane = [axis for axis in range(3) if axis != along_z]
    patient = body
    if body.any():
        stride = analysis_stride(volume)
        coarse = tuple(slice(None, None, step) for step in stride)
        millilitres = float(np.prod(volume.spacing_mm * stride)) / 1000
        few, outside = hu[coarse], ~body[coarse]
        arms = _solid(outside & (few > BODY_HU), in_plane, few, ARM_HU, ARM_ML / millilitres)
        gas = outside & (few < BODY_HU) & _hulls(~outside, along_z)
        lungs = _solid(gas, in_plane, few, LUNG_HU, LUNG_ML / millilitres)
        # and their vessels, and what bulges out of the hull where the circle has cut the chest wall away
        reach = round(LUNG_REACH_MM / ANALYSIS_MM)
        lungs = ndimage.binary_dilation(lungs, iterations=reach, mask=gas | (few > LUNG_HU[0]))
        patient = patient | refine(lungs, stride, hu.shape)
        patient = patient | (refine(ndimage.binary_dilation(lungs), stride, hu.shape) & (hu > LUNG_HU[0]))
        patient = patient | (refine(ndimage.binary_dilation(arms), stride, hu.shape) & (hu > BODY_HU))
        # the body mask may end a coarse step before the last plane of a scan that is filled up with air
        patient = patient | (_grown(patient, [along_z], stride[along_z]) & (hu > BODY_HU))
    patient = _without_shells(patient, in_plane, volume.spacing_mm[in_plane].min())
    rim = _grown(patient, [0, 1, 2]) & (hu <= BODY_HU)
    bare = np.where(patient | rim, hu, np.minimum(hu, np.float32(AIR_HU)))
    return Chest(bare, volume.affine, volume.source, volume.notes)


def _solid(
    mask: np.ndarray, in_plane: list[int], hu: np.ndarray, bounds: tuple[float, float], voxels: float
) -> np.ndarray:
    """The parts of `mask` with a core of at least so many voxels that is thick and whose median lies in `bounds`."""
    steps = max(1, round(SOLID_MM / ANALYSIS_MM))
    parts, count = ndimage.label(_shrunk(mask, in_plane, steps))
    if count == 0:
        return np.zeros_like(mask)
    numbers = np.arange(1, count + 1)
    median = ndimage.median(hu, parts, numbers)
    large = np.bincount(parts.ravel(), minlength=count + 1)[1:] >= voxels
    core = np.isin(parts, numbers[large & (bounds[0] < median) & (median < bounds[1])])
    return ndimage.binary_dilation(core, iterations=steps, mask=mask)


def _without_shells(mask: np.ndarray, in_plane: list[int], spacing_mm: float) -> np.ndarray:
    """The mask less what is thin within its planes; a voxel beside what is thick stays, as skin is rough."""
    steps = max(1, round(SHELL_MM / spacing_mm))
    return _grown(_shrunk(mask, in_plane, steps), in_plane, steps + 1) & mask


def _shrunk(mask: np.ndarray, axes: list[int], steps: int = 1) -> np.ndarray:
    """Erosion by the neighbours along `axes`, a hundred times as fast as SciPy's on a whole scan.

    Nothing is taken off at the sides of the scan: they cut the patient. What is thick within its planes may be cut
    short by the ends of the scan, which is why z is left out of most `axes`.
    """
    for _ in range(steps):
        before, mask = mask, mask.copy()
        for axis in axes:
            given, left = np.moveaxis(before, axis, 0), np.moveaxis(mask, axis, 0)
            left[1:] &= given[:-1]
            left[:-1] &= given[1:]
    return mask


def _grown(mask: np.ndarray, axes: list[int], steps: int = 1) -> np.ndarray:
    """Dilation by the neighbours along `axes`."""
    return ~_shrunk(~mask, axes, steps)


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
