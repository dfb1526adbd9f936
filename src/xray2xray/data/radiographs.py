"""Real radiographs in folders or tables, each with its patient, and the halves that patients are dealt to."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.errors import InputError
from ..io.files import files_below
from .cohorts.plain import read_plain
from .cohorts.rows import is_table
from .groups import TRAIN

Half = Literal["first", "second"]
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".dcm", ".dicom")


@dataclass(frozen=True)
class RadiographFile:
    """A picture, whose it is, and the part of a split that a table gives it to."""

    path: Path
    patient: str
    part: str = TRAIN


def list_radiographs(inputs: Iterable[str | Path]) -> list[RadiographFile]:
    """What folders, files and CSV tables name, in order of the path, each once.

    A table has the columns path and patient. Of a bare file the patient is what stands before the
    first underscore of its name, as in ChestX-ray14; names that end in _mask are label maps and passed over.

    Raises:
        InputError: an input does not exist, a table cannot be read, or there is no picture at all.
    """
    found: dict[Path, RadiographFile] = {}
    for item in map(Path, inputs):
        if not item.exists():
            raise InputError(f"{item}: there is no such file or folder")
        if is_table(item) and item.is_file():
            cohort = read_plain(item).frontals()
            files = [RadiographFile(one.path, one.patient, one.split or TRAIN) for one in cohort.samples]
        else:
            paths = [item] if item.is_file() else list(files_below(item))
            paths = [path for path in paths if path.suffix.lower() in ENDINGS and not path.stem.endswith("_mask")]
            files = [RadiographFile(path, path.stem.split("_")[0]) for path in paths]
        found |= {file.path.resolve(): file for file in files}
    if not found:
        raise InputError(f"no radiograph found; give a CSV, or folders of {', '.join(ENDINGS)} files")
    return [found[path] for path in sorted(found)]


def half_of(patient: str, seed: int) -> Half:
    """The half that a hash of name and seed deals a patient to: the same however many others there are."""
    digest = hashlib.sha256(f"xray2xray half {seed} of patient {patient}".encode()).digest()
    return "first" if digest[0] < 128 else "second"
