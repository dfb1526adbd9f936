"""A chest as numbers: Hounsfield units on a grid, and where the grid stands in the patient."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from ..core.errors import InputError

AIR_HU = -1024.0  # what a voxel that was not measured (NaN) is taken for


@dataclass(frozen=True, eq=False)
class Volume:
    """CT numbers on a regular grid.

    Attributes:
        hu: float32 (nx, ny, nz), Hounsfield units.
        affine: float64 (4, 4), voxel index (i, j, k, 1) -> millimetres in RAS+ as in NIfTI: +x is the patient's
            right, +y anterior, +z superior; integer indices are voxel centres.
        source: where it came from, for messages and reports; never a patient's name.
        notes: what was chosen, left out or assumed on reading, one sentence each, for the report.

    Raises:
        InputError: not three axes, an empty one, voxels that are not finite, or an affine that is not invertible.
    """

    hu: np.ndarray
    affine: np.ndarray
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hu", np.ascontiguousarray(self.hu, dtype=np.float32))
        object.__setattr__(self, "affine", np.array(self.affine, dtype=np.float64))
        where = self.source or "volume"
        if self.hu.ndim != 3 or 0 in self.hu.shape:
            raise InputError(f"{where}: a volume has three axes, this has shape {self.hu.shape}")
        if not np.isfinite(self.hu.sum(dtype=np.float64)) and not np.isfinite(self.hu).all():
            raise InputError(f"{where}: some voxels are not finite numbers; replace them with a value in HU")
        check_affine(self.affine, where)

    def __repr__(self) -> str:
        voxels, spacing = (" x ".join(f"{n:.4g}" for n in three) for three in (self.hu.shape, self.spacing_mm))
        source = f", {self.source}" if self.source else ""
        values = f"{self.hu.min():.0f} to {self.hu.max():.0f} HU"
        return f"{type(self).__name__}({voxels} voxels of {spacing} mm, {values}{source})"

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


def measured(values: np.ndarray, where: str) -> np.ndarray:
    """float32 HU of what a file holds; NaN, not measured, becomes air.

    Raises:
        InputError: infinite voxels, or no image at all; `where` names the file.
    """
    hu = np.require(values, np.float32, ["C", "W"])
    if np.isinf(hu).any():
        raise InputError(f"{where}: some voxels are infinite; replace them with a value in HU")
    if np.isnan(hu).all():
        raise InputError(f"{where}: every voxel is NaN, there is no image in it; export the scan again")
    np.nan_to_num(hu, copy=False, nan=AIR_HU)
    return hu


def canonical(volume: Volume) -> Volume:
    """The same scan with its index axes permuted and flipped to point right, anterior, superior as nearly as they can.

    Nothing is resampled: every voxel keeps its value and its place in the patient.
    """
    orientation = nib.orientations.io_orientation(volume.affine)
    if np.array_equal(orientation, [[0, 1], [1, 1], [2, 1]]):
        return volume
    hu = nib.orientations.apply_orientation(volume.hu, orientation)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(orientation, volume.shape)
    return Volume(hu, affine, volume.source, volume.notes)
