"""Format dispatcher of CTs: NIfTI, NRRD, MetaImage, a DICOM folder, a DICOM zip."""

from dataclasses import replace
from pathlib import Path

from ..core.errors import InputError, reading
from .chest import Chest
from .dicom import is_multi_frame_ct, read_dicom_series
from .metaimage import read_metaimage
from .nifti import read_nifti
from .nrrd import read_nrrd
from .plausible import check_chest_ct
from .volume import Volume, canonical

VOLUME_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_READERS = {
    (".nii", ".nii.gz"): (read_nifti, "pixdim and xyzt_units"),
    (".nrrd", ".nhdr"): (read_nrrd, "space directions and space units"),
    (".mha", ".mhd"): (read_metaimage, "ElementSpacing"),
}
_NOT_READ = (".hdr", ".img", ".mgz", ".mgh", ".mnc", ".hdr.gz", ".img.gz")  # volumes, but of formats that are not read


def is_volume(path: str | Path) -> bool:
    """Whether `path` is to be read as a CT and not as a radiograph: by its name, and a DICOM file by its frames."""
    path = Path(path)
    by_name = path.is_dir() or path.name.lower().endswith((*VOLUME_ENDINGS, ".zip", *_NOT_READ))
    return by_name or (path.is_file() and is_multi_frame_ct(path))


def read_volume(path: str | Path, series: str | None = None) -> Chest:
    """Read a chest CT in canonical axes (right, anterior, superior).

    Args:
        path: `.nii`, `.nii.gz`, `.nrrd`, `.nhdr`, `.mha`, `.mhd`, a folder with DICOM files in it or below it, a `.zip`
            of one, or one multi-frame DICOM file.
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several.

    Raises:
        InputError: the file cannot be read, is not in HU (`check_chest_ct`), or is smaller than 200 x 200 x 150 mm or
            larger than any human; see also `read_nifti` and `read_dicom_series`.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    with reading(path, "damaged or cut short", quote=False):  # a value in a DICOM file may be a name
        volume, sizes = _read(path, series)
        volume = canonical(volume)
        notes = check_chest_ct(volume, str(path), sizes)
        return Chest.of(replace(volume, notes=(*volume.notes, *notes)))


def _read(path: Path, series: str | None) -> tuple[Volume, str]:
    """The volume, and which fields of its header give the size of a voxel."""
    name = path.name.lower()
    if path.is_file():
        for endings, (read, sizes) in _READERS.items():
            if name.endswith(endings):
                return read(path), sizes
    if path.is_dir() or name.endswith(".zip") or is_multi_frame_ct(path):
        return read_dicom_series(path, series), "PixelSpacing and ImagePositionPatient"
    known = "give .nii, .nii.gz, .nrrd, .mha, a folder of DICOM files or a .zip of one"
    if name.endswith(_NOT_READ):
        raise InputError(f"{path}: this volume format is not read; convert it and {known}")
    raise InputError(f"{path}: not a CT; {known}")
