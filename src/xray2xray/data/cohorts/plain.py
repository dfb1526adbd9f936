"""A plain CSV of anyone's own pictures, and the standard table that `write_table` writes.

Columns: path (relative to the table; image and volume are understood too), patient, and where wanted study, view,
split, event, time_years and labels. A column is a label if it holds nothing but 1, 0, -1 and blanks, and some of the
former.
"""

import math
import os
from pathlib import Path
from typing import get_args

from ...core.errors import InputError
from ...radiograph.view import view_of
from ...volume.read import is_volume
from .labels import Policy, as_number, is_blank
from .rows import PATHS, path_column, read_rows
from .table import COLUMNS, OUTCOME, Cohort, Sample, View, as_view


def read_plain(table: str | Path, policy: Policy | None = None) -> Cohort:
    """The cohort that a table lists. A blank label is unknown; a picture without a view is taken for a frontal.

    Names of files and of patients often say who a person is, so studies and patients are numbered. A table with a
    column study has chosen its names: there both are taken as they are.

    Raises:
        InputError: the table cannot be read, lacks a column, or has an unknown view.
    """
    table = Path(table)
    policy = Policy((policy or Policy()).uncertain, unmentioned="ignore")
    rows = read_rows(table, ("patient",))
    column = path_column(rows, table)
    labels = [name for name in rows[0] if name not in {*COLUMNS, *OUTCOME, *PATHS} and _is_label(rows, name)]
    numbers = {
        patient: f"patient-{i:06d}" for i, patient in enumerate(dict.fromkeys(row["patient"] for row in rows), 1)
    }
    named = "study" in rows[0]
    samples: list[Sample] = []
    failed: dict[str, str] = {}
    for line, row in enumerate(rows, 2):
        path = table.parent / row[column]
        if problem := _problem(row, path, row[column]):
            failed[f"line {line}"] = problem
            continue
        samples.append(
            Sample(
                row["study"] if named else f"study-{line - 1:06d}",
                row["patient"] if named else numbers[row["patient"]],
                path,
                _view(row, path, f"{table}, line {line}"),
                row.get("split", ""),
                {name: policy.number(row[name]) for name in labels},
                *(as_number(row.get(name, "")) for name in OUTCOME),
            )
        )
    return Cohort("csv", tuple(samples), failed)


def _problem(row: dict[str, str], path: Path, cell: str) -> str | None:
    """Why the row cannot be used, if it cannot."""
    if not cell or not row["patient"]:
        return "no path or no patient"
    if not os.path.exists(path):  # false, not an error, also for a name that is too long
        return "no such file"
    for name in OUTCOME:
        if math.isnan(as_number(row.get(name, ""))) and not is_blank(row.get(name, "")):
            return f"{name} {row[name]!r} is no number"
    return None


def _is_label(rows: list[dict[str, str]], column: str) -> bool:
    cells = {row[column] for row in rows if not is_blank(row[column])}
    return bool(cells) and all(as_number(cell) in (0, 1, -1) for cell in cells)


def _view(row: dict[str, str], path: Path, where: str) -> View:
    if "view" not in row:
        return "CT" if is_volume(path) else "frontal"
    said = row["view"]
    view: View = "CT" if said.upper() == "CT" else as_view(view_of(said))
    if said and not view:
        raise InputError(f"{where}: view {said!r}; write {', '.join(filter(None, get_args(View)))} or nothing")
    return view
