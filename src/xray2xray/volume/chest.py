"""A chest volume with what is derived from it: body, lungs, isocentre and attenuation, each computed once and kept."""

from collections.abc import Sequence
from functools import cached_property

import nibabel as nib
import numpy as np
from scipy import ndimage

from .attenuation import hu_to_mu
from .volume import Volume, canonical

BODY_HU = -500.0  # halfway between air and soft tissue: the border of the body, and of the lung inside it
ANALYSIS_MM = 5.0  # body and lungs are found on a grid about this coarse: they are large, and it is 20x faster
MIN_LUNG_ML = 300.0  # less gas than this inside a body is bowel or trachea, not lungs
_PLANE_2X2 = np.ones((2, 2, 1), bool)
_PLANE_CROSS = ndimage.generate_binary_structure(3, 1)
_PLANE_CROSS[:, :, [0, 2]] = False


class Chest(Volume):
    """A `Volume` that remembers its body mask, lungs, isocentre and attenuation; nothing is computed before its use."""

    @classmethod
    def of(cls, volume: Volume) -> "Chest":
        """The volume as a chest; a chest is returned as it is, with all that it has computed."""
        return volume if isinstance(volume, Chest) else cls(volume.hu, volume.affine, volume.source, volume.notes)

    @cached_property
    def body(self) -> np.ndarray:
        """bool, the volume's shape: the patient with lungs and other gas filled in, without couch and loose arms.

        Largest connected part above -500 HU after a thin opening that lifts the body off the couch's shell, filled
        plane by plane (the lungs are open at the ends of a cut scan); the border is then drawn again at full
        resolution. All False where nothing is denser than air.
        """
        hu, (coarse, stride) = canonical(self).hu, self._coarse_body
        sure = refine(ndimage.binary_erosion(coarse, _PLANE_CROSS, border_value=1), stride, hu.shape)
        near = refine(ndimage.binary_dilation(coarse, _PLANE_CROSS), stride, hu.shape)
        mask = sure | (near & (hu > BODY_HU))
        own = nib.orientations.io_orientation(self.affine)
        back = nib.orientations.ornt_transform([[0, 1], [1, 1], [2, 1]], own)
        return np.ascontiguousarray(nib.orientations.apply_orientation(mask, back))

    @cached_property
    def lungs(self) -> np.ndarray:
        """bool, the volume's shape: gas inside the body, airways included."""
        return self.body & (self.hu < BODY_HU)

    @cached_property
    def mu_per_mm(self) -> np.ndarray:
        """float32, the volume's shape: attenuation at 60 keV, exactly 0 in room air outside the body (`hu_to_mu`)."""
        return hu_to_mu(self.hu, self.body)

    @cached_property
    def isocentre_mm(self) -> np.ndarray:
        """float64 (3,), RAS mm: the point that the source turns about.

        x and y: centroid of the body. z: halfway between the lowest and the highest plane with lung, so that two scans
        of one patient with different range meet; the middle of the scan where no lung is found. DESIGN section 3.
        """
        volume, (body, stride) = canonical(self), self._coarse_body
        centre = (np.array(volume.shape) - 1) / 2
        if body.any():
            centre[0] = np.average(np.arange(body.shape[0]), weights=body.sum((1, 2))) * stride[0]
            centre[1] = np.average(np.arange(body.shape[1]), weights=body.sum((0, 2))) * stride[1]
        hu, millilitres = volume.hu[_every(stride)], float(np.prod(volume.spacing_mm * stride)) / 1000
        planes = lung_planes(lung_mask(hu, body, millilitres))
        if len(planes):
            centre[2] = min((planes[0] + planes[-1]) / 2 * stride[2], volume.shape[2] - 1)
        return volume.affine[:3, :3] @ centre + volume.affine[:3, 3]

    @cached_property
    def _coarse_body(self) -> tuple[np.ndarray, tuple[int, int, int]]:
        """The filled body on the coarse canonical grid, and the grid's stride."""
        volume = canonical(self)
        stride = analysis_stride(volume)
        # 2 x 2 in the plane: enough to remove a couch's shell, thin enough to leave a child's chest wall closed
        body = _largest(ndimage.binary_opening(volume.hu[_every(stride)] > BODY_HU, _PLANE_2X2))
        for k in range(body.shape[2]):
            body[:, :, k] = ndimage.binary_fill_holes(body[:, :, k])
        return body, stride


def body_mask(volume: Volume) -> np.ndarray:
    """See `Chest.body`."""
    return Chest.of(volume).body


def isocentre_mm(volume: Volume) -> np.ndarray:
    """See `Chest.isocentre_mm`."""
    return Chest.of(volume).isocentre_mm


def analysis_stride(volume: Volume) -> tuple[int, int, int]:
    """Voxels along each axis to a step of about `ANALYSIS_MM`."""
    x, y, z = (max(1, round(ANALYSIS_MM / mm)) for mm in volume.spacing_mm)
    return x, y, z


def lung_mask(hu: np.ndarray, body: np.ndarray, voxel_ml: float) -> np.ndarray:
    """bool, hu's shape: the largest gas inside the body, and a second part where it is lung-sized; False if none is."""
    parts, _ = ndimage.label((hu < BODY_HU) & body)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if sizes.max() * voxel_ml < MIN_LUNG_ML:
        return np.zeros(hu.shape, bool)
    return np.isin(parts, np.flatnonzero(sizes > 0.2 * sizes.max()))


def lung_planes(lungs: np.ndarray) -> np.ndarray:
    """Indices of the planes across the last axis that hold lung; empty where there is none.

    The trachea above the apex is gas too: planes with hardly any of it do not count.
    """
    area = lungs.sum((0, 1))
    return np.flatnonzero(area > 0.05 * area.max())


def _largest(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    if count <= 1:
        return mask.copy()
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()


def refine(mask: np.ndarray, stride: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """Nearest neighbour back to the full grid; coarse voxel n sits on fine voxel n x stride."""
    index = [
        np.minimum((np.arange(size) + step // 2) // step, coarse - 1)
        for size, step, coarse in zip(shape, stride, mask.shape, strict=True)
    ]
    return mask[np.ix_(*index)]


def _every(stride: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(None, None, step) for step in stride)
