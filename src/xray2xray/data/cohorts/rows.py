"""Tables as they come: delimiter and encoding are detected, the usual words for missing become empty cells.

The delimiter is the one that parts the first line into the most columns: on 56 small tables this was right in all,
`csv.Sniffer` in 50 and clevercsv in 54 (docs/decisions/dependencies.md).
"""

import csv
import gzip
import io
import logging
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path, PureWindowsPath

from ...core.errors import InputError
from ...io.files import is_hidden

log = logging.getLogger(__name__)

PATHS = ("image", "path", "volume")
_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_DELIMITERS = ",;\t|"
_MAX_BYTES = 2**29  # unpacked; the largest table of a public cohort has 60 MB
# those still met; a guess among all that Python has names odd ones
_ENCODINGS = [*(f"cp125{i}" for i in (2, 0, 1, 3, 4)), "koi8_r", "gb18030", "big5", "cp932", "euc_jp", "cp949"]
_SAMPLE = 2**16  # bytes, or letters, that a guess looks at
# written by R, pandas, SQL, Excel in some languages, SAS and Stata (. and .a to .z), and by people; in small letters
_MISSING = {
    "na", "n/a", "n.a.", "#n/a", "#na", "#nv", "#n/d", "nan", "-nan", "<na>", "nat", "null", "(null)", "none", "nil",
    "\\n", "-", "--", "?", "missing", "unknown",
}  # fmt: skip
_SPECIAL_MISSING = re.compile(r"\.[a-z_]?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_FLOAT_ID = re.compile(r"(\d+)\.0+")
_ROUNDED_ID = re.compile(r"\d(\.\d+)?e\+?\d+", re.IGNORECASE)


class Row(dict[str, str]):
    """The cells of a row by column, and the line of the file that it ends in."""

    __slots__ = ("line",)

    def __init__(self, cells: Iterable[tuple[str, str]], line: int) -> None:
        super().__init__(cells)
        self.line = line


def is_table(path: str | Path) -> bool:
    """Whether a name ends as a table's: .csv or .tsv, also gzipped."""
    return Path(path).name.lower().endswith(_ENDINGS)


def read_rows(path: str | Path, needed: Iterable[str] = ()) -> list[Row]:
    """The rows of a table, also a gzipped one; spaces around cells go, words for missing are empty.

    Delimited by comma, semicolon, tab or bar; where it is not the comma, numbers may have a decimal comma. UTF-8,
    UTF-16 or, with a warning, what charset-normalizer takes the bytes for.

    Raises:
        InputError: it cannot be read, has no rows, lacks a needed column, has two columns of one name or cells in a
            column without a name, or a row has more cells than columns.
    """
    path = Path(path)
    whole = _text(path)
    text = whole.lstrip("\r\n")
    if text[:4].lower() == "sep=":  # a line that tells Excel the delimiter
        text = text.partition("\n")[2]
    skipped = whole.count("\n", 0, len(whole) - len(text))
    delimiter = _delimiter(text)
    clean = lru_cache(2**16)(partial(_clean, delimiter=delimiter))  # most cells occur often
    try:
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True
        )
        columns = [name.strip() for name in next(reader, [])]
        lines = [(reader.line_num + skipped, [clean(cell) for cell in line]) for line in reader if line]
    except csv.Error as error:  # strict: a quote that nobody closed would swallow the rows after it
        where = f"{path}, line {reader.line_num + skipped}"
        raise InputError(f"{where}: cannot be read as a CSV table ({error}); look for a quote out of place") from None
    if not any(columns):
        raise InputError(f"{path}: the table is empty; give one with a line of column names and a row for each study")
    _check_columns(path, columns, lines)
    lacking = [name for name in needed if name not in columns]
    if lacking:
        raise InputError(f"{path}: no column {lacking[0]} in the first line (there are: {', '.join(columns[:30])})")
    if not lines:
        raise InputError(f"{path}: the table has no rows; give one with a row for each study")
    short = [line for line, cells in lines if len(cells) < len(columns) - (not columns[-1])]
    if short:
        said = f"{len(short)} rows have fewer cells than there are columns, first line {short[0]}"
        log.warning("%s: %s; what they lack is taken for unknown", path, said)
    blank = [""] * len(columns)
    return [Row(zip(columns, cells + blank, strict=False), line) for line, cells in lines]


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise InputError(f"{path}: a table of more than {_MAX_BYTES >> 20} MiB; give the table of one cohort")
    except (OSError, EOFError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path}: cannot be read as a CSV table ({reason}); check the path") from None
    if data[:4] == b"PK\x03\x04" or data[:4] == b"\xd0\xcf\x11\xe0":
        raise InputError(f"{path}: an Excel workbook or an archive, not a CSV table; save the sheet as CSV UTF-8")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif b"\0" in data[:_SAMPLE]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        guess = _guess(data) if encoding == "utf-8-sig" else None
        if guess is None:
            raise InputError(f"{path}: cannot be read as a CSV table ({error}); save it as CSV UTF-8") from None
        log.warning("%s: not UTF-8, read as %s; if names look wrong save it as CSV UTF-8", path, guess)
        return data.decode(guess, errors="replace")


def _guess(data: bytes) -> str | None:
    """An encoding for bytes that are not UTF-8: Windows-1252 for Latin letters, else the likeliest."""
    from charset_normalizer import from_bytes

    lines = [line for line in data.splitlines() if not line.isascii()]  # the others say nothing
    sample = b"\n".join(lines)[:_SAMPLE]
    best = from_bytes(sample, cp_isolation=_ENCODINGS).best()
    likeliest = None if best is None else best.encoding
    try:
        western = sample.decode("cp1252")
    except UnicodeDecodeError:
        return likeliest
    if best is None or all(ord(letter) < 0x250 for letter in str(best) if letter.isalpha()):
        return "cp1252" if western else None  # from few letters Spanish and French are taken for Polish
    return likeliest


def _delimiter(text: str) -> str:
    """The one that makes the most columns of the first record; the comma where none makes two."""

    head = io.StringIO(text[:_SAMPLE], newline="")

    def columns(delimiter: str) -> int:
        head.seek(0)
        try:
            return len(next(csv.reader(head, delimiter=delimiter), []))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=columns)


def _clean(cell: str, delimiter: str) -> str:
    cell = cell.strip()
    if delimiter != "," and _DECIMAL_COMMA.fullmatch(cell):
        return cell.replace(",", ".")
    low = cell.lower()
    return "" if low in _MISSING or _SPECIAL_MISSING.fullmatch(low) else cell


def _check_columns(path: Path, columns: Sequence[str], lines: Sequence[tuple[int, list[str]]]) -> None:
    seen: dict[str, int] = {}
    for place, name in enumerate(columns, 1):
        other = seen.setdefault(name.casefold(), place)
        if name and other != place:
            raise InputError(
                f"{path}: columns {other} and {place} are both called {name}; take one out or give it another name"
            )
    for line, cells in lines:
        if any(cells[len(columns) :]):
            raise InputError(
                f"{path}, line {line}: more cells ({len(cells)}) than columns ({len(columns)}); "
                "put text with a delimiter in quotes"
            )
    for place in (place for place, name in enumerate(columns) if not name):
        for line, cells in lines:
            if any(cells[place : place + 1]):
                raise InputError(
                    f"{path}: column {place + 1} has no name, but line {line} holds {cells[place]!r} in it; give it a "
                    "name or take it out (pandas: to_csv(index=False))"
                )


def path_column(rows: Sequence[Mapping[str, str]], where: str | Path) -> str:
    """The column that names the pictures or scans.

    Raises:
        InputError: there is none, or more than one.
    """
    there = [name for name in PATHS if name in rows[0]]
    if not there:
        columns = ", ".join(list(rows[0])[:30])
        raise InputError(f"{where}: no column {', '.join(PATHS)} in the first line (there are: {columns})")
    if len(there) > 1:
        raise InputError(f"{where}: columns {' and '.join(there)} both name files; take one out or call it differently")
    return there[0]


def path_of(folder: Path, cell: str) -> Path:
    """What a cell names, relative to the table's folder; also as Windows writes it, with backslashes."""
    path = folder / cell
    return folder / cell.replace("\\", "/") if "\\" in cell and not os.path.lexists(path) else path


def no_such_file(cell: str) -> str:
    """Why a cell's path leads nowhere, and what to do."""
    if PureWindowsPath(cell).drive:
        return f"no such file {cell!r}; a drive of Windows: write paths relative to the table"
    hint = "paths are relative to the table" if not os.path.isabs(cell) else "is it of another machine?"
    return f"no such file {cell!r}; {hint}"


def as_id(cell: str) -> str:
    """The name of a patient or study; 17.0, as pandas writes a number with gaps in its column, is 17.

    Raises:
        InputError: a number that a spreadsheet has rounded, such as 1.00E+07.
    """
    if _ROUNDED_ID.fullmatch(cell):
        raise InputError(f"{cell!r} is a number that a spreadsheet rounded; export the column as text")
    whole = _FLOAT_ID.fullmatch(cell)
    return whole.group(1) if whole else cell


def id_in(path: Path, row: Row, column: str) -> str:
    """`as_id` of a cell; the message of its InputError names file, line and column."""
    try:
        return as_id(row[column])
    except InputError as error:
        raise InputError(f"{path}, line {row.line}, column {column}: {error}") from None


def by_id(path: Path, rows: Iterable[Row], column: str) -> dict[str, Row]:
    """The rows by the id in a column; a repeated row counts once.

    Raises:
        InputError: two rows of one id differ, or an id cannot be one.
    """
    found: dict[str, Row] = {}
    for row in rows:
        name = id_in(path, row, column)
        other = found.setdefault(name, row)
        if other != row:
            lines = f"lines {other.line} and {row.line}"
            raise InputError(f"{path}: {lines} say different things of {column} {name!r}; take one out")
    return found


def one_file(folder: Path, *patterns: str) -> Path:
    """The file in `folder`, or a folder in it, that one of the patterns fits; hidden files are passed over.

    Of several the last by name, which is the latest release; a warning says so unless they are equal.

    Raises:
        InputError: none does.
    """
    for deeper in ("", "*/"):
        for pattern in patterns:
            found = [p for p in sorted(folder.glob(deeper + pattern)) if p.is_file() and not is_hidden(p, folder)]
            if not found:
                continue
            others = [path for path in found[:-1] if path.read_bytes() != found[-1].read_bytes()]
            if others:
                log.warning("%s: reading %s, not %s", folder, found[-1].name, ", ".join(p.name for p in others))
            return found[-1]
    raise InputError(f"{folder}: no {' or '.join(patterns)} inside; give the folder that the cohort came in")
