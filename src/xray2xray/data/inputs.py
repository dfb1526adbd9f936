"""Format dispatcher: what a given path is, and what folders and tables stand for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.errors import InputError
from ..io.files import told_apart
from ..volume.read import VOLUME_ENDINGS, is_volume
from .cohorts.rows import path_column, read_rows
from .store import MANIFEST

Kind = Literal["CT", "radiograph", "store", "table"]
_ENDINGS = (*VOLUME_ENDINGS, ".zip", ".dcm", ".dicom", ".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Input:
    """One input under the name of its study.

    `view` is what a table says of it: pa, ap, lateral, anything else for unknown.
    """

    study: str
    path: Path
    view: str = ""

    @property
    def kind(self) -> Kind:
        """See `kind_of`."""
        return kind_of(self.path)


def kind_of(path: str | Path) -> Kind:
    """What is at `path`, by its name, and of a folder by what it holds."""
    path = Path(path)
    if path.suffix.lower() == ".csv":
        return "table"
    if (path / MANIFEST).is_file():
        return "store"
    return "CT" if is_volume(path) else "radiograph"


def list_inputs(paths: Sequence[Path]) -> list[Input]:
    """Inputs by name. A table stands for what it lists, a folder of volume files for each of them.

    Raises:
        InputError: a table that cannot be read, has none of the columns, or a study named twice.
    """
    plain = [path for path in paths if kind_of(path) != "table"]
    items = [Input(study, path) for study, path in study_names(scans(plain)).items()]
    for table in (path for path in paths if kind_of(path) == "table"):
        items += _rows(table)
    names = [item.study for item in items]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two inputs are called {twice[0]}; give them different names in a CSV's column study")
    return items


def check_file_names(items: Iterable[Input]) -> None:
    """Raise InputError for a name that would not lie in the output folder: a table may call a study `../x`."""
    for item in items:
        if item.study in (".", "..") or re.search(r"[/\\\0]", item.study):
            raise InputError(f"{item.path}: study name {item.study!r} is no file name; leave out '/' and '\\'")


def scans(paths: Iterable[str | Path]) -> list[Path]:
    """The paths, folders of NIfTI, NRRD or MetaImage files replaced by the files; a DICOM folder is one scan."""
    found: list[Path] = []
    for path in map(Path, paths):
        files = sorted(path.iterdir()) if path.is_dir() else []
        found += [file for file in files if file.name.lower().endswith(VOLUME_ENDINGS)] or [path]
    return found


def study_names(paths: Iterable[str | Path]) -> dict[str, Path]:
    """A name for each input that is also a safe file name; a number distinguishes inputs of the same name.

    The names depend on the order of the inputs only where two have the same name.
    """
    given = [Path(path) for path in paths]
    return dict(zip(told_apart(map(study_name, given)), given, strict=True))


def study_name(path: str | Path) -> str:
    """The file's name without its ending, with everything but letters, digits, '.', '_' and '-' made a '-'."""
    path = Path(path)
    name = path.name or path.resolve().name
    for ending in _ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
            break
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    return name[:100] or "study"


def _rows(table: Path) -> list[Input]:
    """Paths in a table are relative to the table."""
    rows = read_rows(table)
    column = path_column(rows, table)
    rows = [row for row in rows if row[column]]
    names = study_names(table.parent / row[column] for row in rows)
    return [
        Input(row.get("study") or name, path, row.get("view", "").lower())
        for row, (name, path) in zip(rows, names.items(), strict=True)
    ]
