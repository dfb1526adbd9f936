"""A chest as numbers: Hounsfield units on a grid, and where the grid stands in the patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage

from ..core.errors import InputError

BODY_HU = -500.0  # halfway between air and soft tissue: the border of the body, and of the lung inside it
ANALYSIS_MM = 5.0  # body and lungs are found on a grid about this coarse: they are large, and it is 20x faster
MIN_LUNG_ML = 300.0  # less gas than this inside a body is bowel or trachea, not lungs
_PLANE_2X2 = np.ones((2, 2, 1), bool)
_PLANE_CROSS = ndimage.generate_binary_structure(3, 1)
_PLANE_CROSS[:, :, [0, 2]] = False


@dataclass(frozen=True, eq=False)
class Volume:
    """CT numbers on a regular grid.

    Attributes:
        hu: float32 (nx, ny, nz), Hounsfield units.
        affine: float64 (4, 4), voxel index (i, j, k, 1) -> millimetres in RAS+ as in NIfTI: +x is the patient's
            right, +y anterior, +z superior; integer indices are voxel centres.
        source: where it came from, for messages and reports; never a patient's name.

    Raises:
        InputError: not three axes, an empty one, voxels that are not finite, or an affine that is not invertible.
    """

    hu: np.ndarray
    affine: np.ndarray
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hu", np.ascontiguousarray(self.hu, dtype=np.float32))
        object.__setattr__(self, "affine", np.array(self.affine, dtype=np.float64))
        where = self.source or "volume"
        if self.hu.ndim != 3 or 0 in self.hu.shape:
            raise InputError(f"{where}: a volume has three axes, this has shape {self.hu.shape}")
        if not np.isfinite(self.hu.sum(dtype=np.float64)) and not np.isfinite(self.hu).all():
            raise InputError(f"{where}: some voxels are not finite numbers; replace them with a value in HU")
        check_affine(self.affine, where)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each index axis."""
        nx, ny, nz = self.hu.shape
        return nx, ny, nz

    @property
    def spacing_mm(self) -> np.ndarray:
        """float64 (3,): distance between neighbouring voxel centres along each index axis."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def extent_mm(self) -> np.ndarray:
        """float64 (3,): length of the grid along each index axis, from voxel edge to voxel edge."""
        return self.spacing_mm * self.shape

    def canonical(self) -> "Volume":
        """See `canonical`."""
        return canonical(self)


def check_affine(affine: np.ndarray, where: str) -> None:
    """Raise InputError unless `affine` is a finite, invertible (4, 4) voxel-to-millimetre matrix."""
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise InputError(f"{where}: the affine has missing or infinite entries; save the scan with a valid header")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    # relative to the voxel's size, so that small voxels are not mistaken for a singular matrix
    if (spacing == 0).any() or abs(np.linalg.det(affine[:3, :3] / np.where(spacing == 0, 1, spacing))) < 1e-3:
        raise InputError(f"{where}: the affine is singular (an axis without length, or two parallel); fix the header")
    if not np.allclose(affine[3], (0, 0, 0, 1), atol=1e-6):
        raise InputError(f"{where}: the affine's last row is not 0 0 0 1; save the scan again with a valid header")


def canonical(volume: Volume) -> Volume:
    """The same scan with its index axes permuted and flipped to point right, anterior, superior as nearly as they can.

    Nothing is resampled: every voxel keeps its value and its place in the patient.
    """
    orientation = nib.orientations.io_orientation(volume.affine)
    if np.array_equal(orientation, [[0, 1], [1, 1], [2, 1]]):
        return volume
    hu = nib.orientations.apply_orientation(volume.hu, orientation)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(orientation, volume.shape)
    return Volume(hu, affine, volume.source)


def body_mask(volume: Volume) -> np.ndarray:
    """bool, the volume's shape: the patient with lungs and other gas filled in, without the couch and loose arms.

    Largest connected part above -500 HU after a thin opening that lifts the body off the couch's shell, filled plane
    by plane (the lungs are open at the ends of a cut scan); the border is then drawn again at full resolution. All
    False where nothing is denser than air.
    """
    hu, orientation = _as_canonical(volume)
    stride = analysis_stride(volume, orientation)
    coarse = _coarse_body(hu[tuple(slice(None, None, step) for step in stride)])
    sure = refine(ndimage.binary_erosion(coarse, _PLANE_CROSS, border_value=1), stride, hu.shape)
    near = refine(ndimage.binary_dilation(coarse, _PLANE_CROSS), stride, hu.shape)
    mask = sure | (near & (hu > BODY_HU))
    back = nib.orientations.ornt_transform([[0, 1], [1, 1], [2, 1]], orientation)
    return np.ascontiguousarray(nib.orientations.apply_orientation(mask, back))


def isocentre_mm(volume: Volume) -> np.ndarray:
    """float64 (3,), RAS mm: the point that the source turns about.

    x and y: centroid of the body. z: halfway between the lowest and the highest plane with lung, so that two scans of
    one patient with different range meet; the middle of the scan where no lung is found. DESIGN section 3.
    """
    volume = canonical(volume)
    stride = analysis_stride(volume)
    hu = volume.hu[tuple(slice(None, None, step) for step in stride)]
    body = _coarse_body(hu)
    centre = (np.array(volume.shape) - 1) / 2
    if body.any():
        centre[0] = np.average(np.arange(hu.shape[0]), weights=body.sum((1, 2))) * stride[0]
        centre[1] = np.average(np.arange(hu.shape[1]), weights=body.sum((0, 2))) * stride[1]
    planes = lung_planes(lung_mask(hu, body, float(np.prod(volume.spacing_mm * stride)) / 1000))
    if len(planes):
        centre[2] = min((planes[0] + planes[-1]) / 2 * stride[2], volume.shape[2] - 1)
    return volume.affine[:3, :3] @ centre + volume.affine[:3, 3]


def _as_canonical(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    orientation = nib.orientations.io_orientation(volume.affine)
    return nib.orientations.apply_orientation(volume.hu, orientation), orientation


def analysis_stride(volume: Volume, orientation: np.ndarray | None = None) -> tuple[int, int, int]:
    spacing = volume.spacing_mm
    if orientation is not None:
        spacing = spacing[np.argsort(orientation[:, 0])]
    x, y, z = (max(1, round(ANALYSIS_MM / mm)) for mm in spacing)
    return x, y, z


def _coarse_body(hu: np.ndarray) -> np.ndarray:
    """The filled body on the coarse canonical grid."""
    # 2 x 2 in the plane: enough to remove a couch's shell, thin enough to leave a child's chest wall closed
    tissue = ndimage.binary_opening(hu > BODY_HU, _PLANE_2X2)
    body = _largest(tissue)
    for k in range(body.shape[2]):
        body[:, :, k] = ndimage.binary_fill_holes(body[:, :, k])
    return body


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
