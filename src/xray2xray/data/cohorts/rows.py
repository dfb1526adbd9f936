"""Tables as they come: CSV, also gzipped, with the columns that a reader needs."""

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...errors import InputError

PATHS = ("image", "path", "volume")


def read_rows(path: str | Path, needed: Iterable[str] = ()) -> list[dict[str, str]]:
    """The rows of a .csv or .csv.gz, each a dict by column; what a short row lacks is empty.

    Raises:
        InputError: it cannot be read, or has no rows, or lacks a needed column.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a CSV table ({error})") from None
    columns = reader.fieldnames or []
    lacking = [name for name in needed if name not in columns]
    if lacking:
        raise InputError(f"{path}: no column {lacking[0]} in the first line (there are: {', '.join(columns[:30])})")
    if not rows:
        raise InputError(f"{path}: the table has no rows")
    return rows


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
