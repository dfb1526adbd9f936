"""A plain table of anyone's own pictures, and the standard table that `write_table` writes.

Columns: path (relative to the table; image and volume are understood too), patient, and where wanted study, view,
split, series, age, sex, event, time_years and labels. A column is a label if it holds nothing but 1, 0, -1, true,
false, yes, no and blanks, and some of the former; a warning names the others that look like one. A column of other
numbers is read where it is asked for by name: a number may be the number of a patient.
"""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from ...core.errors import InputError
from ...radiograph.view import view_of
from ...volume.read import is_volume
from .labels import Policy, as_age, as_label, as_number, as_sex
from .rows import PATHS, Row, as_id, no_such_file, path_column, path_of, read_rows
from .table import AGE, COLUMNS, LABEL, OUTCOME, SERIES, SEX, Cohort, Sample, View, as_view

log = logging.getLogger(__name__)

_KNOWN = {*COLUMNS, *OUTCOME, *PATHS, SERIES, AGE, SEX}


def read_plain(table: str | Path, policy: Policy | None = None, numbers: Sequence[str] | None = ()) -> Cohort:
    """The cohort that a table lists. A blank label is unknown; a picture without a view is taken for a frontal.

    Names of files and of patients often say who a person is, so studies and patients are numbered. A table with a
    column study has chosen its names: there both are taken as they are.

    Args:
        numbers: columns of numbers that are kept beside the labels; None keeps them all.

    Raises:
        InputError: the table cannot be read, lacks a column, has an unknown view, or a study twice.
    """
    table = Path(table)
    policy = Policy((policy or Policy()).uncertain, unmentioned="ignore")
    rows = read_rows(table, ("patient",))
    column = path_column(rows, table)
    measured = _numbers(rows, table, numbers)
    labels = _labels(rows, table, measured)
    named = "study" in rows[0]
    numbered_as: dict[str, str] = {}
    lines: dict[str, int] = {}
    samples: list[Sample] = []
    failed: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        where, path = f"line {row.line}", path_of(table.parent, row[column])
        try:
            patient = as_id(row["patient"])
            study = as_id(row["study"]) if named else f"study-{number:06d}"
            numbered = numbered_as.setdefault(patient, f"patient-{len(numbered_as) + 1:06d}")
            outcome = _outcome(row, path, row[column])
        except InputError as error:
            failed[where] = str(error)
            continue
        if lines.setdefault(study, row.line) != row.line:
            twice = f"lines {lines[study]} and {row.line}"
            raise InputError(f"{table}: {twice} have the same name {study!r} in column study; rename one")
        view = _view(row, path, f"{table}, {where}")
        values = {name: policy.number(row[name]) for name in labels} | {name: as_number(row[name]) for name in measured}
        age, sex = as_age(row.get(AGE, "")), as_sex(row.get(SEX, ""))
        who = patient if named else numbered
        samples.append(
            Sample(study, who, path, view, row.get("split", ""), values, *outcome, row.get(SERIES, ""), age, sex)
        )
    return Cohort("csv", tuple(samples), failed)


def read_table(table: str | Path) -> Cohort:
    """The cohort of a table that `write_table` wrote, its measured numbers, too.

    Raises:
        InputError: as `read_plain`, or a column of such a table is missing.
    """
    try:
        read_rows(table, COLUMNS)
    except InputError as error:
        raise InputError(f"{error}; make the table with `xray2xray cohort {table} --kind csv --out OTHER`") from None
    return read_plain(table, numbers=None)


def _outcome(row: Row, path: Path, cell: str) -> tuple[float, float]:
    """Event and time of a row, NaN where blank.

    Raises:
        InputError: the row cannot be used.
    """
    lacking = [name for name, said in (("path", cell), ("patient", row["patient"])) if not said]
    if lacking or ("study" in row and not row["study"]):
        raise InputError(f"no {' and no '.join(lacking or ['study'])}; fill the cell in, or take the row out")
    if not os.path.exists(path):  # false, not an error, also for a name that is too long
        raise InputError(no_such_file(cell))
    event, years = as_label(row.get("event", "")), as_number(row.get("time_years", ""))
    for name, value in zip(OUTCOME, (event, years), strict=True):
        if math.isnan(value) and row.get(name, ""):
            raise InputError(f"{name} {row[name]!r} is no number; write one, or nothing where it is unknown")
    return event, years


def _numbers(rows: Sequence[Row], table: Path, wanted: Sequence[str] | None) -> list[str]:
    """The columns of numbers, other than labels, that are wanted.

    Raises:
        InputError: one that is wanted by name holds what is no number.
    """
    found = []
    for column in filter(None, rows[0]):
        if column in _KNOWN or (wanted is not None and column not in wanted):
            continue
        told = [row for row in rows if row[column]]
        odd = [row for row in told if math.isnan(as_number(row[column]))]
        if not told or all(as_label(row[column]) in (0, 1, -1) for row in told):
            continue
        if odd and wanted is not None:
            raise InputError(f"{table}, line {odd[0].line}, column {column}: {odd[0][column]!r} is no number")
        if not odd:
            found.append(column)
    return found


def _labels(rows: Sequence[Row], table: Path, measured: Sequence[str]) -> list[str]:
    """The columns that are labels. What is not is said: by name, with the cell where it looks like one."""
    labels: list[str] = []
    others: list[str] = []
    for column in filter(None, rows[0]):
        if column in _KNOWN or column in measured:
            continue
        told = [row for row in rows if row[column]]
        odd = [row for row in told if as_label(row[column]) not in (0, 1, -1)]
        if told and not odd:
            labels.append(column)
        elif 0 < 2 * len(odd) <= len(told):
            log.warning(
                "%s: column %s is left out: %d of its %d cells are no label, first %r in line %d; %s",
                *(table, column, len(odd), len(told), odd[0][column], odd[0].line, LABEL),
            )
        else:
            others.append(column if told else f"{column} (empty)")
    if others:
        said = "one of numbers is kept where --labels names it"
        log.warning("%s: columns that are no labels are left out: %s; %s; %s", table, ", ".join(others), LABEL, said)
    return labels


def _view(row: Row, path: Path, where: str) -> View:
    if "view" not in row:
        return "CT" if is_volume(path) else "frontal"
    said = row["view"]
    view: View = "CT" if said.upper() == "CT" else as_view(view_of(said))
    if said and not view:
        raise InputError(f"{where}: view {said!r}; write {', '.join(filter(None, get_args(View)))} or nothing")
    return view
