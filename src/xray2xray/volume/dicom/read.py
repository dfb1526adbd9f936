"""A DICOM CT series, in a folder, a zip or one multi-frame file, to one `Volume`."""

import logging
import math
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom

from ...core.errors import InputError
from ...core.limits import MAX_VOXELS, check_size
from ...io.archive import opened_zip
from ...io.dicom import dcmread
from ..volume import Volume, check_affine
from .choice import choose
from .decode import decode
from .files import Files, FolderFiles, OneFile, ZipFiles
from .images import CT_CLASSES, Aside, Image, images_in, read_header, text
from .pixels import hounsfield
from .stacks import OTHER_ORIENTATION, Found, Stack, find_stacks, over_each_other, words

log = logging.getLogger(__name__)

MAX_LOST = 0.02  # of a stack may be missing by defects (unreadable, no place), and one image at least: more is refused
_BLOCK = 16  # slices that are written at once: a cache line of float32


def read_dicom_series(path: str | Path, series: str | None = None) -> Volume:
    """Read the CT series in a folder (with all folders below it), in a zip, or in one multi-frame file.

    Files without preamble are read; what is no DICOM file or no CT is passed over. Every CT image is either a slice of
    a stack or set aside with its reason (localizer, duplicate, no place in the patient, unreadable, ...), and the
    volume's notes name those of the folder. A series is split into stacks by orientation, matrix and pixel size, then
    where the parts lie over each other by acquisition, temporal position, kernel and reconstruction. Of several
    stacks `choose` takes one; a warning and the notes say which. HU from each slice's own rescale, padding as air; LPS
    becomes RAS here and nowhere else; a tilted gantry becomes a shear in the affine.

    Args:
        path: folder, `.zip`, or a file with an enhanced CT.
        series: SeriesInstanceUID or the name of a stack (`UID:acquisition`), which overrides the rule.

    Returns:
        the volume with index axes that point right, anterior and superior (`canonical`).

    Raises:
        InputError: nothing usable inside; slices missing, lost by defects (more than one image and 2 % of the stack),
            at one place with different pixels, or unlike each other; nothing but projections or maps; a compression
            that needs an extra package; an unknown `series`; a zip that is damaged, encrypted or far too large.
    """
    path = Path(path)
    try:
        with pydicom.config.disable_value_validation():  # its warnings may quote a header; what matters is refused here
            if path.is_dir():
                return _read(FolderFiles(path), path, series)
            if path.is_file() and not zipfile.is_zipfile(path) and path.suffix.lower() != ".zip":
                return _read(OneFile(path), path, series)
            with opened_zip(path) as archive:
                return _read(ZipFiles(archive), path, series)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file or folder; give a folder or zip with a DICOM CT series") from error
    except OSError as error:
        reason = " ".join(str(error).split())[:120]
        kind = "folder" if path.is_dir() else "zip"
        raise InputError(f"{path}: cannot be read as a {kind} ({reason}); copy it again, check its rights") from error


def is_multi_frame_ct(path: Path) -> bool:
    """Whether a file is a CT with several frames, by its header."""
    try:
        with path.open("rb") as stream:
            header = read_header(stream)
        return (
            header is not None
            and text(header, "SOPClassUID") in CT_CLASSES
            and int(text(header, "NumberOfFrames") or 1) > 1
        )
    except Exception:  # whatever is wrong with it, it is no such file
        return False


def _read(files: Files, path: Path, wanted: str | None) -> Volume:
    others: dict[str, int] = {}
    found = find_stacks(images_in(files, others), partial(_same_pixels, files, path))
    if not found.stacks:
        raise InputError(f"{path}: {_nothing(found, others, files)}")
    chosen, notes = choose(found.stacks, wanted, str(path))
    aside = ""
    if found.aside:
        aside = f"{len(found.aside)} of {found.images} CT images were set aside: {words(found.aside)}"
    if chosen.problem is not None:
        raise InputError(f"{path}: {chosen.problem}" + (f". {aside}" if aside else ""))
    _refuse_loss(found, chosen, path)
    check_affine(chosen.affine, str(path))
    for note in (*notes, *found.notes) if wanted is None else ():
        log.warning("%s: %s", path.name, note)
    if aside:
        log.info("%s: %s", path.name, aside)
    hu, affine = _voxels(files, chosen, path)
    return Volume(hu, affine, path.name, (*notes, *found.notes, *([aside] if aside else [])))


def _nothing(found: Found, others: dict[str, int], files: Files) -> str:
    """Why there is no stack, and what to give instead."""
    reasons = {one.reason for one in found.aside}
    if any("multi-frame" in reason for reason in reasons):
        return f"no stack of CT slices: {words(found.aside)}; convert it to NIfTI with dcm2niix first"
    if reasons and reasons <= {"localizer", "single image", OTHER_ORIENTATION}:
        return f"only localizers or single images inside, no stack ({words(found.aside)}); give the CT series"
    if reasons:
        return f"no stack of CT slices: {words(found.aside)}; give the original CT series"
    volumes = [name for name in files.names() if name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"))]
    if volumes:
        return f"no DICOM CT images inside, but {volumes[0]}; give that file itself (a .nii, .nii.gz, .nrrd, .mha)"
    if others:
        kinds = ", ".join(f"{count} {modality}" for modality, count in sorted(others.items()))
        return f"no DICOM CT images inside, but {kinds}; give a CT series, or a radiograph (CR, DX) as a file"
    return "no DICOM CT images inside; give the folder or zip of one CT series"


def _refuse_loss(found: Found, chosen: Stack, path: Path) -> None:
    """Refuse a stack of which more is missing than the rule allows, at its ends too, where no gap shows it."""
    matrix = chosen.images[0].matrix
    lost = [
        one for one in found.aside if one.lost and one.series in (None, chosen.series) and one.matrix in (None, matrix)
    ]
    for other in found.stacks:
        if other is not chosen and other.series == chosen.series and _continues(chosen, other):
            lost += [Aside(str(image), "another matrix, pixel size or direction") for image in other.images]
    if len(lost) > max(1, MAX_LOST * len(chosen.images)):
        raise InputError(
            f"{path}: {len(lost)} images that belong to series {chosen.name}, or may do so, cannot be used: "
            f"{words(lost)}; copy or export the series again, or remove what is none of its {len(chosen.images)} slices"
        )


def _continues(stack: Stack, other: Stack) -> bool:
    """Whether the other lies beside the stack, in the same direction, and not over it."""
    along = min(float(a @ b) for a, b in zip(stack.directions, other.directions, strict=True))
    return along > 0.98 and not over_each_other((stack.images, other.images))


def _voxels(files: Files, stack: Stack, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """HU with canonical axes, float32, and the affine to it.

    Slices are written where they belong in the final order: turning a whole volume takes longer than reading it.
    """
    turned = nib.orientations.io_orientation(stack.affine)
    affine = stack.affine @ nib.orientations.inv_ornt_aff(turned, stack.shape)
    axes = turned[:, 0].astype(int)
    check_size(math.prod(stack.shape), MAX_VOXELS, "voxels", path, "resample it, 1 mm is enough")
    hu = np.empty([stack.shape[axis] for axis in np.argsort(axes)], np.float32)
    flips = tuple(slice(None, None, int(sign)) for sign in turned[np.argsort(axes), 1])
    by_slice = hu[flips].transpose(axes)  # (columns, rows, slices), a view
    block: list[np.ndarray] = []
    for k, image in enumerate(_decoded(files, stack, path), 1):
        block.append(image)
        if len(block) == _BLOCK or k == len(stack.images):
            by_slice[:, :, k - len(block) : k] = np.array(block).transpose(2, 1, 0)
            block.clear()
    return hu, affine


def _decoded(files: Files, stack: Stack, path: Path) -> Iterator[np.ndarray]:
    name, data = "", None
    for image in stack.images:
        if image.name != name or data is None:  # a multi-frame file is read once
            name, data = image.name, _whole_file(files, image.name, path)
        yield hounsfield(data, image.frame, image.matrix, f"{path}: {image}")


def _whole_file(files: Files, name: str, path: Path) -> Any:
    with files.open(name) as stream:
        return decode(partial(dcmread, stream, force=True), f"{path}: {name}")


def _same_pixels(files: Files, path: Path, one: Image, other: Image) -> bool:
    if one.matrix != other.matrix:
        return False
    first, second = (
        hounsfield(_whole_file(files, image.name, path), image.frame, image.matrix, f"{path}: {image}")
        for image in (one, other)
    )
    return np.array_equal(first, second)
