"""Format dispatcher of CTs: NIfTI, a DICOM folder, a DICOM zip."""

from pathlib import Path

import numpy as np

from ..core.errors import InputError, reading
from .chest import Chest
from .dicom import read_dicom_series
from .nifti import read_nifti
from .volume import Volume, canonical

MIN_EXTENT_MM = (200.0, 200.0, 150.0)  # right, anterior, superior: less is not a chest
_NIFTI = (".nii", ".nii.gz")


def is_volume(path: str | Path) -> bool:
    """Whether `path` would be read as a CT (a folder, `.zip`, `.nii`, `.nii.gz`) and not as a radiograph."""
    path = Path(path)
    return path.is_dir() or path.name.lower().endswith((*_NIFTI, ".zip"))


def read_volume(path: str | Path, series: str | None = None) -> Chest:
    """Read a chest CT in canonical axes (right, anterior, superior).

    Args:
        path: `.nii`, `.nii.gz`, a folder with DICOM files in it or below it, or a `.zip` of one.
        series: SeriesInstanceUID, where a DICOM folder holds several.

    Raises:
        InputError: the file cannot be read, is not in HU, or is smaller than 200 x 200 x 150 mm; see `read_nifti` and
            `read_dicom_series`.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    with reading(path, "damaged or cut short", quote=False):  # a value in a DICOM file may be a name
        if path.name.lower().endswith(_NIFTI) and path.is_file():
            volume = read_nifti(path)
        elif is_volume(path):
            volume = read_dicom_series(path, series)
        else:
            raise InputError(f"{path}: not a CT; give .nii, .nii.gz, a folder of DICOM files or a .zip of one")
        chest = Chest.of(canonical(volume))
        check_chest_ct(chest, str(path))
        return chest


def check_chest_ct(volume: Volume, where: str) -> None:
    """Raise InputError unless a canonical `volume` is large enough for a chest and its values can be HU."""
    extent = volume.extent_mm
    if (extent < np.array(MIN_EXTENT_MM) - 1e-3).any():
        size, least = (" x ".join(f"{mm:.0f}" for mm in sizes) for sizes in (extent, MIN_EXTENT_MM))
        raise InputError(f"{where}: the scan is {size} mm, a chest needs at least {least} mm; give a chest CT")
    low, high = float(volume.hu.min()), float(volume.hu.max())
    if low > -200 or high < 200:
        raise InputError(f"{where}: values from {low:.4g} to {high:.4g} do not look like HU; give a CT in HU")
