"""The DICOM images below a folder, whatever they are called: what the header of each says.

Every header is read, about 1 ms of a core for each file: archives and users deliver series folders, flat folders and
mixtures, and only the headers say whose an image is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.uid import MediaStorageDirectoryStorage

from ...core.errors import InputError, silent_libraries
from ...io.dicom import dcmread
from ...io.files import files_below
from ...parallel.executor import executor
from ...radiograph.view import VIEW_TAGS, view_in_header
from ...volume.dicom import decode
from .table import View, as_view

RADIOGRAPHS = ("CR", "DX", "DR", "RG")
_IDENTITY = (
    "SOPClassUID", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality", "StudyDate",
)  # fmt: skip
_NEEDED = ("Modality", "PatientID", "StudyInstanceUID")
_TAGS = [*_IDENTITY, "ImageType", *VIEW_TAGS]
_LOCALIZERS = ("LOCALIZER", "SCOUT", "TOPOGRAM")
_ENDINGS = (".dcm", ".dicom", ".ima")
_PACKED = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar", ".dcm.gz")
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
_CHUNK = 2000  # files of one task: fewer are not worth the start of a process

Study = tuple[str, str]
"""PatientID and StudyInstanceUID; an anonymiser may have given all patients one of the two."""


@dataclass(frozen=True)
class Problem:
    """Why a file cannot be used, and whose it is: of what study, or else in which folder."""

    whose: str
    reason: str


@dataclass(frozen=True)
class Image:
    """What the header of one file says."""

    path: Path
    patient: str
    study: str
    series: str
    instance: str
    modality: str
    date: str  # of the study, YYYYMMDD; TCIA's dates are shifted
    view: View  # of a radiograph
    localizer: bool

    @property
    def key(self) -> Study:
        return self.patient, self.study


def read_images(folder: str | Path, workers: int | None = 1) -> tuple[list[Image], dict[str, str]]:
    """The images below a folder, and what could not be used, by its first file, with the reason.

    What is no DICOM and does not claim to be by its name is passed over.

    Raises:
        InputError: there is no DICOM file below the folder, or none can be used.
    """
    paths = list(files_below(folder))
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    images: list[Image] = []
    problems: dict[Problem, list[Path]] = {}
    for chunk in executor(workers, len(chunks)).map(_read_chunk, chunks):
        for path, said in chunk:
            if isinstance(said, Image):
                images.append(said)
            else:
                problems.setdefault(said, []).append(path)
    failed = {str(paths[0]): _counted(problem.reason, len(paths)) for problem, paths in problems.items()}
    if not images:
        first = next(iter(failed.items()), ())
        why = f"nothing can be used ({': '.join(first)})" if first else "no DICOM files below"
        raise InputError(f"{folder}: {why}; give the folder that the download made")
    return images, failed


def _counted(reason: str, files: int) -> str:
    return reason if files == 1 else f"{reason} ({files} such files)"


def _read_chunk(paths: Sequence[Path]) -> list[tuple[Path, Image | Problem]]:
    read = ((path, _read(path)) for path in paths)
    return [(path, said) for path, said in read if said is not None]


@silent_libraries()
def _read(path: Path) -> Image | Problem | None:
    """None of what is no DICOM image and does not say it is."""
    place, name = str(path.parent), path.name.lower()
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError as error:
        lost = path.is_symlink() and not path.exists()
        return Problem(place, "a link to a file that is not here; fetch the file" if lost else str(error.strerror))
    if name.endswith(_PACKED):
        return Problem(place, "an archive; unpack it first")
    # without the preamble of 128 bytes: group 0002 or 0008, or 0008 in big endian
    bare = (head[:2] in (b"\x08\x00", b"\x02\x00") and head[3:4] == b"\0") or head[:3] == b"\0\x08\0"
    if head[:4] == _APPLE_DOUBLE or not (head[128:] == b"DICM" or bare or name.endswith(_ENDINGS)):
        return None
    if not (head[128:] == b"DICM" or bare):
        return Problem(place, "no DICOM file, though it is called one; copy it again")

    def read() -> Image | Problem | None:  # pydicom finds a value damaged when it is asked for
        return _said(path, dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=bare))

    try:
        said: Image | Problem | None = decode(read, str(path))
        return said
    except InputError as error:
        return Problem(place, str(error).removeprefix(f"{path}: "))


def _said(path: Path, header: Any) -> Image | Problem | None:
    """What a header says; None of a DICOMDIR, and of bytes that only look like a header."""
    sop_class, patient, study, series, instance, modality, date = (
        str(header.get(tag) or "").strip() for tag in _IDENTITY
    )
    if sop_class == MediaStorageDirectoryStorage or not (sop_class or modality or study):
        return None
    lacking = [tag for tag in _NEEDED if not str(header.get(tag) or "").strip()]
    if lacking:
        said = f"no {' and no '.join(lacking)} in the header; export it again with these tags"
        return Problem(study or str(path.parent), said)
    kinds = header.get("ImageType") or ()
    kinds = {str(kind).upper() for kind in ((kinds,) if isinstance(kinds, str) else kinds)}
    modality = modality.upper()
    view = as_view(view_in_header(header).view if modality in RADIOGRAPHS else "")
    return Image(
        path,
        patient,
        study,
        series,
        instance,
        modality,
        date,
        view,
        not kinds.isdisjoint(_LOCALIZERS),
    )
