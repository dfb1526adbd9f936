"""A DICOM CT series, in a folder or a zip, to one `Volume`."""

import io
import logging
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage

from ..core.errors import InputError
from ..core.limits import MAX_VOXELS, check_size
from ..io.archive import Archive, opened_zip
from ..io.dicom import dcmread, pixel_array
from .volume import Volume, check_affine

log = logging.getLogger(__name__)

GAP = 1.5  # in median slice distances: more means that a slice is missing
SAME_RANGE = 0.9  # series that cover at least this part of the largest range count as covering the same
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_HEADER_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "ImageType", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "SamplesPerPixel",
]  # fmt: skip


@dataclass(frozen=True)
class Slice:
    """What the header of one CT image says; positions and directions in the DICOM patient frame (LPS), mm."""

    name: str
    instance: str
    localizer: bool
    position: np.ndarray  # (3,) centre of the first pixel
    along_row: np.ndarray  # (3,) unit, direction of growing column index
    along_column: np.ndarray  # (3,) unit, direction of growing row index
    pixel_mm: tuple[float, float]  # between rows, between columns
    matrix: tuple[int, int]  # rows, columns

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.along_row, self.along_column)

    @property
    def height_mm(self) -> float:
        """Position along the normal."""
        return float(self.position @ self.normal)


@dataclass(frozen=True)
class Series:
    """The images of one SeriesInstanceUID that form a stack, from low to high along their normal."""

    uid: str
    slices: tuple[Slice, ...]

    @property
    def step_mm(self) -> float:
        """Median distance of neighbouring slices."""
        return float(np.median(np.diff([s.height_mm for s in self.slices])))

    @property
    def range_mm(self) -> float:
        return self.slices[-1].height_mm - self.slices[0].height_mm + self.step_mm

    def __str__(self) -> str:
        return f"{self.uid} ({len(self.slices)} slices, {self.range_mm:.0f} mm in steps of {self.step_mm:.3g} mm)"


def read_dicom_series(path: str | Path, series: str | None = None) -> Volume:
    """Read the CT series in a folder (with all folders below it) or in a zip, which is read without unpacking it.

    Anything that is not a CT image is skipped, and so are localizers (by image type, or an orientation unlike the
    rest). Of several series that one is taken which covers the largest range; among those within 10 % of it the one
    with the thinnest slices, then the smallest UID. The choice is printed to stderr. Slices are sorted by position
    along their normal; HU from each slice's own rescale; LPS becomes RAS here and nowhere else; a tilted gantry becomes
    a shear in the affine.

    Args:
        path: folder or `.zip`.
        series: a SeriesInstanceUID that overrides the rule.

    Raises:
        InputError: nothing usable inside, slices missing, at one position twice, or unlike each other, a compression
            that needs an extra package, an unknown `series`, a zip that is damaged, encrypted or far too large.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _read(_FolderFiles(path), path, series)
        with opened_zip(path) as archive:
            return _read(_ZipFiles(archive), path, series)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file or folder; give a folder or zip with a DICOM CT series") from error
    except OSError as error:
        reason = " ".join(str(error).split())[:120]
        kind = "folder" if path.is_dir() else "zip"
        raise InputError(f"{path}: cannot be read as a {kind} ({reason}); copy it again, check its rights") from error


class _FolderFiles:
    """Every file under a folder, by its path relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        return sorted(str(file.relative_to(self.root)) for file in self.root.rglob("*") if file.is_file())

    def open(self, name: str) -> BinaryIO:
        return (self.root / name).open("rb")


class _ZipFiles:
    """Every file in an open zip."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def names(self) -> list[str]:
        return self.archive.names()

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(self.archive.read(name))


_Files = _FolderFiles | _ZipFiles


def _read(files: _Files, path: Path, uid: str | None) -> Volume:
    headers: dict[str, list[Slice]] = defaultdict(list)
    enhanced = 0
    for name, header in _ct_headers(files):
        if header.SOPClassUID == EnhancedCTImageStorage:
            enhanced += 1
        elif (one := _slice(name, header)) is not None:
            headers[str(header.SeriesInstanceUID)].append(one)
    if not headers:
        if enhanced:
            raise InputError(f"{path}: enhanced multi-frame CT is not read; convert it to NIfTI with dcm2niix first")
        raise InputError(f"{path}: no DICOM CT images inside; give the folder or zip of one CT series")
    stacks = [stack for key in sorted(headers) if (stack := _stack(key, headers[key])) is not None]
    chosen = _choose(stacks, uid, path)
    _check(chosen, path)
    return Volume(_pixels(files, chosen, path), _affine(chosen), path.name)


def _ct_headers(files: _Files) -> Iterator[tuple[str, Any]]:
    """Headers of the CT images; whatever is not DICOM or not CT is passed over."""
    for name in files.names():
        with files.open(name) as stream:
            if stream.read(132)[128:] != b"DICM":
                continue
            stream.seek(0)
            try:
                header = dcmread(stream, stop_before_pixels=True, specific_tags=_HEADER_TAGS)
                wanted = header.get("SOPClassUID") in (CTImageStorage, EnhancedCTImageStorage)
            except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, AttributeError, NotImplementedError):
                continue
        if wanted and "SeriesInstanceUID" in header:
            yield name, header


def _slice(name: str, header: Any) -> Slice | None:
    """None where the image has no place in space (screen shots, dose sheets) or has colour."""
    kinds = [str(kind).upper() for kind in header.get("ImageType") or []]
    try:
        position = np.array(header.ImagePositionPatient, dtype=np.float64)
        direction = np.array(header.ImageOrientationPatient, dtype=np.float64)
        pixel_mm = (float(header.PixelSpacing[0]), float(header.PixelSpacing[1]))
        matrix = (int(header.Rows), int(header.Columns))
    except (AttributeError, TypeError, ValueError, IndexError):
        return None
    if position.shape != (3,) or direction.shape != (6,) or int(header.get("SamplesPerPixel", 1)) != 1:
        return None
    instance = str(header.get("SOPInstanceUID", name))
    localizer = "LOCALIZER" in kinds
    return Slice(name, instance, localizer, position, direction[:3], direction[3:], pixel_mm, matrix)


def _stack(uid: str, slices: Iterable[Slice]) -> Series | None:
    """The images of a series that share its most common orientation; None where they do not make a stack."""
    copies = {s.instance: s for s in slices if not s.localizer}  # one image exported twice is one image
    groups: dict[tuple[float, ...], list[Slice]] = defaultdict(list)
    for s in copies.values():
        groups[tuple(np.round(np.concatenate([s.along_row, s.along_column]), 2) + 0.0)].append(s)
    largest = max(groups.values(), key=len, default=[])
    if len(largest) < 2:
        return None
    ordered = sorted(largest, key=lambda s: s.height_mm)
    if ordered[0].normal @ ordered[0].normal < 0.9 or ordered[-1].height_mm - ordered[0].height_mm < 1e-3:
        return None
    return Series(uid, tuple(ordered))


def _choose(stacks: list[Series], uid: str | None, path: Path) -> Series:
    if not stacks:
        raise InputError(f"{path}: only localizers or single images inside, no stack of CT slices; give the CT series")
    if uid is not None:
        for stack in stacks:
            if stack.uid == uid:
                return stack
        raise InputError(f"{path}: no CT series {uid}; choose one of {'; '.join(map(str, stacks))}")
    largest = max(stack.range_mm for stack in stacks)
    whole = [stack for stack in stacks if stack.range_mm >= SAME_RANGE * largest]
    chosen = min(whole, key=lambda stack: (round(stack.step_mm, 2), stack.uid))
    if len(stacks) > 1:
        others = "; ".join(str(stack) for stack in stacks if stack is not chosen)
        log.warning(
            "%s: %d CT series, reading %s: the largest range, then the thinnest slices. "
            "Choose another with --series UID: %s",
            path.name,
            len(stacks),
            chosen,
            others,
        )
    return chosen


def _check(series: Series, path: Path) -> None:
    """Refuse a stack that is not one regular grid."""
    first = series.slices[0]
    for s in series.slices:
        if s.matrix != first.matrix or not np.allclose(s.pixel_mm, first.pixel_mm, rtol=1e-3):
            raise InputError(f"{path}: {s.name} has another matrix or pixel size than {first.name}; export one series")
    height = np.array([s.height_mm for s in series.slices])
    steps = np.diff(height)
    doubled = np.flatnonzero(steps < 1e-3)
    if len(doubled):
        names = f"{series.slices[doubled[0]].name} and {series.slices[doubled[0] + 1].name}"
        raise InputError(
            f"{path}: {len(doubled)} slice positions occur twice (several phases in one series?), first in {names}; "
            "export one phase"
        )
    gaps = np.flatnonzero(steps > GAP * np.median(steps))
    if len(gaps):
        where = ", ".join(f"{height[g]:.1f} and {height[g + 1]:.1f} mm" for g in gaps[:4])
        names = f"{series.slices[gaps[0]].name} and {series.slices[gaps[0] + 1].name}"
        raise InputError(
            f"{path}: slices are missing between {where} along the stack (first gap: {names}; usual step "
            f"{np.median(steps):.3g} mm); export the complete series"
        )
    positions = np.array([s.position for s in series.slices])
    straight = positions[0] + np.outer(np.arange(len(height)), positions[-1] - positions[0]) / (len(height) - 1)
    drift = np.linalg.norm(positions - straight, axis=1)
    if drift.max() > max(1.0, np.median(steps) / 2):
        name = series.slices[int(drift.argmax())].name
        raise InputError(
            f"{path}: slices are not evenly spaced ({name} is {drift.max():.1f} mm off); export one regular series"
        )
    check_affine(_affine(series), str(path))


def _affine(series: Series) -> np.ndarray:
    """Index (column, row, slice) -> RAS mm; DICOM PS3.3 C.7.6.2.1.1, then LPS to RAS."""
    first, last = series.slices[0], series.slices[-1]
    affine = np.eye(4)
    affine[:3, 0] = first.along_row * first.pixel_mm[1]
    affine[:3, 1] = first.along_column * first.pixel_mm[0]
    affine[:3, 2] = (last.position - first.position) / (len(series.slices) - 1)
    affine[:3, 3] = first.position
    affine[:3] = _LPS_TO_RAS @ affine[:3]
    return affine


def _pixels(files: _Files, series: Series, path: Path) -> np.ndarray:
    """float32 (columns, rows, slices), HU."""
    rows, columns = series.slices[0].matrix
    check_size(rows * columns * len(series.slices), MAX_VOXELS, "voxels", path, "resample it, 1 mm is enough")
    hu = np.empty((len(series.slices), rows, columns), dtype=np.float32)
    for k, s in enumerate(series.slices):
        where = f"{path}: {s.name}"
        with files.open(s.name) as stream:
            image = decode(partial(dcmread, stream), where)
            if "RescaleSlope" not in image or "RescaleIntercept" not in image:
                raise InputError(f"{where} has no rescale to Hounsfield units; export the original series")
            stored = decode(partial(pixel_array, image, where), where, image)
        if stored.shape != (rows, columns):
            raise InputError(f"{where} holds pixels of shape {stored.shape}, not {(rows, columns)}; export it again")
        np.multiply(stored, np.float32(image.RescaleSlope), out=hu[k], casting="unsafe")
        hu[k] += np.float32(image.RescaleIntercept)
    return hu.transpose(2, 1, 0)


def decode(read: Callable[[], Any], where: str, image: Any = None) -> Any:
    """`read()`, with pydicom's many ways to fail turned into one line that says what to do.

    Args:
        read: reads a file or its pixels.
        where: the file, for the message.
        image: the data set whose pixels are read, for the name of the compression.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values, which may name a person
            return read()
    except InputError:
        raise
    except Exception as error:  # pydicom and its plug-ins raise nearly every type there is
        syntax = UID(getattr(getattr(image, "file_meta", None), "TransferSyntaxUID", ""))
        if image is not None and syntax in pydicom.uid.AllTransferSyntaxes and syntax.is_compressed:
            hint = "its decoder is missing or the file is damaged: pip install 'xray2xray[dicom]', or copy it again"
            raise InputError(f"{where}: cannot decode {syntax.name} ({type(error).__name__}); {hint}") from error
        raise InputError(f"{where}: damaged or cut short ({type(error).__name__}); copy the file again") from error
