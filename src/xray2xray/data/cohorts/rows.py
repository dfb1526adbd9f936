"""Tables as they come: CSV, also gzipped, with the columns that a reader needs."""

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...core.errors import InputError

PATHS = ("image", "path", "volume")


def read_rows(path: str | Path, needed: Iterable[str] = ()) -> list[dict[str, str]]:
    """The rows of a .csv or .csv.gz, each a dict by column; what a short row lacks is empty, spaces around cells go.

    Raises:
        InputError: it cannot be read, has no rows, lacks a needed column, or a row has more cells than columns.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, skipinitialspace=True)
            columns = [name.strip() for name in next(lines, [])]
            cells = [(lines.line_num, [cell.strip() for cell in line]) for line in lines if line]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a CSV table ({error})") from None
    if not any(columns):
        raise InputError(f"{path}: the table is empty")
    lacking = [name for name in needed if name not in columns]
    if lacking:
        raise InputError(f"{path}: no column {lacking[0]} in the first line (there are: {', '.join(columns[:30])})")
    if not cells:
        raise InputError(f"{path}: the table has no rows")
    for line, row in cells:
        if any(row[len(columns) :]):
            raise InputError(f"{path}, line {line}: more cells than columns; put text with a comma in quotes")
    blank = [""] * len(columns)
    return [dict(zip(columns, row + blank, strict=False)) for _, row in cells]


def path_column(rows: Sequence[Mapping[str, str]], where: str | Path) -> str:
    """The column that names the pictures or scans.

    Raises:
        InputError: there is none.
    """
    column = next((name for name in PATHS if name in rows[0]), None)
    if column is None:
        raise InputError(f"{where}: no column {', '.join(PATHS)} in the first line")
    return column


def one_file(folder: Path, *patterns: str) -> Path:
    """The file in `folder` that one of the patterns fits; of several the last by name, which is the latest release.

    Raises:
        InputError: none does.
    """
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern), reverse=True) if path.is_file()]
    if not found:
        raise InputError(f"{folder}: no {' or '.join(patterns)} inside; give the folder that the cohort came in")
    return found[0]
