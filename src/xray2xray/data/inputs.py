"""Format dispatcher: what a given path is, and what folders and tables stand for."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.errors import InputError
from ..io.files import told_apart
from ..radiograph.dicom import is_dicom, is_radiograph
from ..radiograph.view import FRONTAL, view_of
from ..volume.read import VOLUME_ENDINGS, is_volume
from .cohorts.rows import is_table, no_such_file, path_column, path_of, read_rows
from .cohorts.table import SERIES
from .store import MANIFEST

Kind = Literal["CT", "radiograph", "store", "table"]
Taken = Literal["pa", "ap", "auto"]
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".jp2")
_ENDINGS = (*VOLUME_ENDINGS, ".zip", ".dcm", ".dicom", *_PICTURES)


@dataclass(frozen=True)
class Input:
    """One input under the name of its study.

    `view` is what a table says of it, in its own words, `series` the SeriesInstanceUID that it names; `problem` says
    why a table, or a part of it, stands for nothing.
    """

    study: str
    path: Path
    view: str = ""
    series: str = ""
    problem: str = ""

    @property
    def kind(self) -> Kind:
        """See `kind_of`."""
        return kind_of(self.path)

    def taken(self, view: Taken) -> Taken:
        """How a radiograph was taken: as the user says, else as the table does.

        Raises:
            InputError: there is a problem, or the table names a view that is no frontal, or one that is not known.
        """
        if self.problem:
            raise InputError(self.problem)
        said = view_of(self.view) if self.view.upper() != "CT" else ""
        if said is None:
            raise InputError(f"{self.path}: unknown view {self.view!r} in the table; write PA, AP, lateral or nothing")
        if said not in ("", *FRONTAL):
            what = f"{'an' if said[0] == 'o' else 'a'} {said} view"
            raise InputError(f"{self.path}: {what} (the table says {self.view}); the model takes frontals")
        return "pa" if view == "auto" and said == "PA" else "ap" if view == "auto" and said == "AP" else view


def kind_of(path: str | Path) -> Kind:
    """What is at `path`, by its name, and of a folder by what it holds."""
    path = Path(path)
    if is_table(path) and not path.is_dir():
        return "table"
    if (path / MANIFEST).is_file():
        return "store"
    return "CT" if is_volume(path) else "radiograph"


def list_inputs(paths: Sequence[Path]) -> list[Input]:
    """Inputs by name. A table stands for what it lists, a folder of volume files or radiographs for each of them.

    What does not exist, and a table that cannot be read, is an input with a problem: the others need not wait for it.

    Raises:
        InputError: a study named twice.
    """
    tables = [path for path in paths if os.path.exists(path) and kind_of(path) == "table"]
    plain = study_names(scans(path for path in paths if path not in tables))
    items = [Input(study, path, problem=_missing(path)) for study, path in plain.items()]
    for table in tables:
        items += _rows(table)
    twice = sorted(name for name, count in Counter(item.study for item in items).items() if count > 1)
    if twice:
        raise InputError(f"two inputs are called {twice[0]}; give them different names in a CSV's column study")
    return items


def check_file_names(items: Iterable[Input]) -> None:
    """Raise InputError for a name that would not lie in the output folder: a table may call a study `../x`."""
    for item in items:
        if item.study in (".", "..") or re.search(r"[/\\\0]", item.study):
            raise InputError(f"{item.path}: study name {item.study!r} is no file name; leave out '/' and '\\'")


def scans(paths: Iterable[str | Path]) -> list[Path]:
    """The paths, folders of volume files or of radiographs replaced by their files; a DICOM CT's folder is one scan."""
    found: list[Path] = []
    for path in map(Path, paths):
        try:
            files = sorted(path.iterdir()) if os.path.isdir(path) else []
        except OSError:  # no right to read it, which its reader says
            files = []
        files = [file for file in files if not file.name.startswith(".")]
        volumes = [file for file in files if file.name.lower().endswith(VOLUME_ENDINGS)]
        found += volumes or _radiographs(files) or [path]
    return found


def _radiographs(files: Sequence[Path]) -> list[Path]:
    """The pictures and DICOM radiographs of a folder without subfolders; none where its first DICOM file is a CT's."""
    if not all(file.is_file() for file in files):
        return []
    pictures = [file for file in files if file.suffix.lower() in _PICTURES]
    others = [file for file in files if file not in pictures]
    first = next((file for file in others if is_dicom(file)), None)
    if first is None:
        return pictures
    return [*pictures, *filter(is_dicom, others)] if is_radiograph(first) else []


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
    try:
        rows = read_rows(table)
        column = path_column(rows, table)
    except InputError as error:
        return [Input(table.name, table, problem=str(error))]
    without = [row.line for row in rows if not row[column]]
    problem = f"{table}: {len(without)} rows have no {column}, first line {without[0]}; fill it in" if without else ""
    rows = [row for row in rows if row[column]]
    names = study_names(path_of(table.parent, row[column]) for row in rows)
    return [
        *(Input(table.name, table, problem=problem) for _ in without[:1]),
        *(
            Input(
                row.get("study") or name,
                path,
                row.get("view", ""),
                row.get(SERIES, ""),
                "" if os.path.exists(path) else f"{table}, line {row.line}: {no_such_file(row[column])}",
            )
            for row, (name, path) in zip(rows, names.items(), strict=True)
        ),
    ]


def _missing(path: Path) -> str:
    """The problem of a path that does not exist; also of a name that no file can have, on which `Path.exists` fails."""
    return "" if os.path.exists(path) else f"{path}: there is no such file or folder; check the path"
