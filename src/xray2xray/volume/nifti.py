"""NIfTI files to `Volume` and back."""

import logging
import math
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError

from ..core.errors import InputError, reading
from ..core.limits import MAX_VOXELS, check_ratio, check_size
from ..io.files import atomic_path
from .volume import Volume, check_affine, measured

log = logging.getLogger(__name__)

VIRTUAL_PATIENT = "virtual patient, not a CT"  # in the header's description
_MM_PER_UNIT = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def read_nifti(path: str | Path) -> Volume:
    """Read one 3D image in HU from `.nii` or `.nii.gz`.

    The voxel axes stay as the file has them (`canonical` turns them). A fourth axis of length 1 is dropped. NaN means
    not measured (outside the field of view after resampling) and becomes air; infinity is refused.

    Raises:
        InputError: not a NIfTI file, cut short, colour, more than one image, too large, a singular or NaN affine.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .nii or .nii.gz file")
    with reading(path, "not a NIfTI file, or damaged or cut short"):
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):  # Nifti2Image is one too; Analyze has no orientation
            raise InputError(f"{path}: not a NIfTI file; give a .nii or .nii.gz file")
        shape, kind = _three_axes(image.shape, path), image.get_data_dtype()
        if kind.fields is not None or kind.kind not in "iuf":
            raise InputError(f"{path}: voxels are {kind}, not numbers in HU; give the CT itself")
        check_ratio(math.prod(shape) * kind.itemsize, path.stat().st_size, path)
        affine, notes = _affine_in_mm(image, path)
        hu = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
        empty = float(np.isnan(hu).mean())
        notes = (*notes, f"{100 * empty:.2g} % of the voxels are NaN: taken for air") if empty else notes
        return Volume(measured(hu, str(path)), affine, path.name, notes)


def is_virtual_patient(path: str | Path) -> bool:
    """Whether a file says that it is a virtual patient's; not what can be read in it otherwise."""
    try:
        with reading(path, "no NIfTI file"):
            image = nib.load(path)
            return isinstance(image, nib.Nifti1Image) and VIRTUAL_PATIENT in str(image.header["descrip"])
    except InputError:  # `read_nifti` says what is wrong with it
        return False


def write_nifti(path: str | Path, volume: Volume, description: str = "") -> None:
    """Write `.nii` or `.nii.gz`: HU rounded to int16, affine as sform and qform in scanner coordinates, mm; atomic.

    Args:
        description: at most 79 ASCII characters, for the header.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise InputError(f"{path}: a NIfTI file ends in .nii or .nii.gz; rename the output")
    limits = np.iinfo(np.int16)
    image = nib.Nifti1Image(np.clip(np.rint(volume.hu), limits.min, limits.max).astype(np.int16), volume.affine)
    image.set_sform(volume.affine, code="scanner")
    image.set_qform(volume.affine, code="scanner")  # a shear (gantry tilt) fits in the sform only
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


def _three_axes(shape: tuple[int, ...], path: Path) -> tuple[int, ...]:
    if len(shape) > 3 and any(size != 1 for size in shape[3:]):
        raise InputError(f"{path}: holds several images (shape {shape}); give one 3D scan")
    if len(shape) < 3 or 0 in shape:
        raise InputError(f"{path}: has shape {shape}; give one 3D scan")
    check_size(math.prod(shape), MAX_VOXELS, "voxels", path, "resample it, 1 mm is enough")
    return shape[:3]


def _affine_in_mm(image: nib.Nifti1Image, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Voxel index -> RAS mm, and what has to be said of it."""
    header = image.header
    with ImageOpener(str(path)) as stream:  # as it is in the file: loading turns a voxel size of 0 into 1
        stored = type(header).from_fileobj(stream, check=False)
    if (stored["pixdim"][1:4] == 0).any():
        raise InputError(f"{path}: a voxel size of 0 mm in the header; fix the header")
    if image.affine is None:
        raise InputError(f"{path}: no affine in the header; save the scan again with a valid header")
    affine = np.array(image.affine, dtype=np.float64)
    check_affine(affine, str(path))
    notes = _orientation_notes(header, image.shape, path)
    for note in notes:
        log.warning("%s: %s", path.name, note)
    unit = header.get_xyzt_units()[0]
    mm = _MM_PER_UNIT.get(unit, 1.0)
    extent = np.linalg.norm(affine[:3, :3], axis=0) * image.shape[:3]
    if mm != 1 and _like_a_body(extent) and not _like_a_body(extent * mm):
        size = " x ".join(f"{length:.4g}" for length in extent * mm)
        raise InputError(
            f"{path}: xyzt_units says {unit}, which makes the scan {size} mm; its numbers are mm: set xyzt_units to mm"
        )
    affine[:3] *= mm
    return affine, notes


def _like_a_body(extent_mm: np.ndarray) -> bool:
    return bool(((extent_mm > 50) & (extent_mm < 2500)).all())


def _orientation_notes(header: nib.Nifti1Header, shape: tuple[int, ...], path: Path) -> tuple[str, ...]:
    """What to say of sform and qform; two that turn or scale the scan differently are refused."""
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if not sform and not qform:
        return ("no orientation in the header; left and right are NIfTI's default guess",)
    notes = []
    if (sform or qform) > 2:
        notes.append("the header places the scan in an atlas (sform code 3 or more), not in the scanner")
    if sform and qform:
        nearest = header.copy()  # a qform has no shear: a tilted gantry fits in the sform only
        try:
            nearest.set_qform(header.get_sform(), code=1)
            ours, other = nearest.get_qform(), header.get_qform()
        except (HeaderDataError, ValueError, np.linalg.LinAlgError):
            return tuple(notes)
        spacing = np.linalg.norm(ours[:3, :3], axis=0)
        if not np.allclose(ours[:3, :3] / spacing, other[:3, :3] / spacing, atol=0.02):
            raise InputError(
                f"{path}: sform and qform turn or scale the scan differently; keep the right one and set the other's "
                "code to 0 (sform_code, qform_code)"
            )
        middle = np.array([*(np.array(shape[:3]) - 1) / 2, 1])
        apart = float(np.linalg.norm((ours - other) @ middle))
        if apart > max(2.0, spacing.max()):
            notes.append(f"sform and qform place the scan {apart:.0f} mm apart; the sform was taken")
    return tuple(notes)
