"""DICOM folders as The Cancer Imaging Archive delivers them: collection / patient / study / series / *.dcm.

The names of study and series are UIDs or descriptions, as one chooses when downloading, and metadata.csv beside them
changed its columns over the years. So everything is read from the headers: one of each series.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...io.dicom import dcmread
from ...radiograph.view import VIEW_TAGS
from ...volume.dicom import decode

_TAGS = [
    "Modality", "PatientID", "StudyDate", "StudyInstanceUID", "SeriesInstanceUID", *VIEW_TAGS,
]  # fmt: skip


@dataclass(frozen=True)
class Series:
    """A folder of DICOM files, and what the first one's header says."""

    folder: Path
    files: tuple[Path, ...]
    modality: str
    patient: str
    date: str  # of the study, YYYYMMDD; TCIA's dates are shifted
    study: str  # StudyInstanceUID


def read_header(path: Path) -> Any:
    """The few tags that cohorts need, without the pixels.

    Raises:
        InputError: it is no DICOM file.
    """
    return decode(lambda: _converted(dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)), str(path))


def _converted(header: Any) -> Any:
    """The header with every value read: pydicom reads a value, and finds it damaged, when it is asked for."""
    for _ in header:
        pass
    return header


def series_below(folder: str | Path) -> tuple[list[Series], dict[str, str]]:
    """All series below a folder by name, and what could not be read.

    Raises:
        InputError: there are none.
    """
    found: list[Series] = []
    failed: dict[str, str] = {}
    for place, folders, names in os.walk(folder):
        folders.sort()
        files = tuple(Path(place, name) for name in sorted(names) if name.lower().endswith(".dcm"))
        if not files:
            continue
        try:
            header = read_header(files[0])
        except InputError as error:
            failed[place] = str(error)
            continue
        said = [str(header.get(tag, "")) for tag in ("Modality", "PatientID", "StudyDate", "StudyInstanceUID")]
        if not all(said[:2]):
            failed[place] = f"{files[0]}: no Modality or no PatientID in the header; copy the file again"
            continue
        found.append(Series(Path(place), files, *said))
    if not found and failed:
        raise InputError(f"{folder}: none of {len(failed)} series can be read; {next(iter(failed.values()))}")
    if not found:
        raise InputError(f"{folder}: no folder of .dcm files below; give the folder that the download made")
    return found, failed
