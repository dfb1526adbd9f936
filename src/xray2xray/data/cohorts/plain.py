"""A plain table of anyone's own pictures, and the standard table that `write_table` writes.

Columns: path (relative to the table; image and volume are understood too), patient, and where wanted study, view,
split, series, event, time_years and labels. A column is a label if it holds nothing but 1, 0, -1, true, false, yes, no
and blanks, and some of the former; a warning names the others that look like one.
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
from .labels import Policy, as_label, as_number
from .rows import PATHS, Row, as_id, no_such_file, path_column, path_of, read_rows
from .table import COLUMNS, LABEL, OUTCOME, SERIES, Cohort, Sample, View, as_view

log = logging.getLogger(__name__)

_KNOWN = {*COLUMNS, *OUTCOME, *PATHS, SERIES}


def read_plain(table: str | Path, policy: Policy | None = None) -> Cohort:
    """The cohort that a table lists. A blank label is unknown; a picture without a view is taken for a frontal.

    Names of files and of patients often say who a person is, so studies and patients are numbered. A table with a
    column study has chosen its names: there both are taken as they are.

    Raises:
        InputError: the table cannot be read, lacks a column, has an unknown view, or a study twice.
    """
    table = Path(table)
    policy = Policy((policy or Policy()).uncertain, unmentioned="ignore")
    rows = read_rows(table, ("patient",))
    column = path_column(rows, table)
    labels = _labels(rows, table)
    named = "study" in rows[0]
    numbers: dict[str, str] = {}
    lines: dict[str, int] = {}
    samples: list[Sample] = []
    failed: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        where, path = f"line {row.line}", path_of(table.parent, row[column])
        try:
            patient = as_id(row["patient"])
            study = as_id(row["study"]) if named else f"study-{number:06d}"
            numbered = numbers.setdefault(patient, f"patient-{len(numbers) + 1:06d}")
            outcome = _outcome(row, path, row[column])
        except InputError as error:
            failed[where] = str(error)
            continue
        if lines.setdefault(study, row.line) != row.line:
            twice = f"lines {lines[study]} and {row.line}"
            raise InputError(f"{table}: {twice} have the same name {study!r} in column study; rename one")
        view = _view(row, path, f"{table}, {where}")
        values = {name: policy.number(row[name]) for name in labels}
        who = patient if named else numbered
        samples.append(
            Sample(study, who, path, view, row.get("split", ""), values, *outcome, series=row.get(SERIES, ""))
        )
    return Cohort("csv", tuple(samples), failed)


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


def _labels(rows: Sequence[Row], table: Path) -> list[str]:
    """The columns that are labels. What is not is said: by name, with the cell where it looks like one."""
    labels: list[str] = []
    others: list[str] = []
    for column in filter(None, rows[0]):
        if column in _KNOWN:
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
        log.warning("%s: columns that are no labels are left out: %s; %s", table, ", ".join(others), LABEL)
    return labels


def _view(row: Row, path: Path, where: str) -> View:
    if "view" not in row:
        return "CT" if is_volume(path) else "frontal"
    said = row["view"]
    view: View = "CT" if said.upper() == "CT" else as_view(view_of(said))
    if said and not view:
        raise InputError(f"{where}: view {said!r}; write {', '.join(filter(None, get_args(View)))} or nothing")
    return view
