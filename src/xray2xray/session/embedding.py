"""Which frontals `xray2xray embed` was asked for, and the table of features that it writes."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..core.errors import InputError
from ..data.cohorts.rows import path_column, read_rows
from ..data.store import MANIFEST, ViewStore
from ..io.files import atomic_path, write_npz
from .study import View, open_input, study_names
from .unfold import Tools


@dataclass(frozen=True)
class Item:
    """One input under the name of its study; a view store stands for all of its studies.

    `view` is what a table says of it: pa, ap, lateral, anything else for unknown.
    """

    study: str
    path: Path
    view: str = ""


def listed(paths: Sequence[Path]) -> list[Item]:
    """Inputs by name, tables replaced by what they list.

    Raises:
        InputError: a table that cannot be read, has none of the columns, or a study named twice.
    """
    plain = [path for path in paths if path.suffix.lower() != ".csv"]
    items = [Item(study, path) for study, path in study_names(plain).items()]
    for table in (path for path in paths if path.suffix.lower() == ".csv"):
        items += _rows(table)
    names = [item.study for item in items]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two inputs are called {twice[0]}; give them different names in a CSV's column study")
    return items


def _rows(table: Path) -> list[Item]:
    """Paths in a table are relative to the table."""
    rows = read_rows(table)
    column = path_column(rows, table)
    rows = [row for row in rows if row[column]]
    names = study_names(table.parent / row[column] for row in rows)
    return [
        Item(row.get("study") or name, path, row.get("view", "").lower())
        for row, (name, path) in zip(rows, names.items(), strict=True)
    ]


def frontals(item: Item, tools: Tools, series: str | None, view: View) -> list[tuple[str, np.ndarray]]:
    """The study's name and its frontal view (size, size) in p; of a view store one for each study.

    Where `view` is auto, what the item's table says counts.
    """
    if item.view == "lateral":
        raise InputError(f"{item.path}: a lateral view; the model takes frontals")
    if (item.path / MANIFEST).is_file():
        store = ViewStore.open(item.path)
        return [(study, _frontal(store, study)) for study in store.studies()]
    quantiles = tools.frontal_quantiles
    if view == "auto" and item.view in ("pa", "ap"):
        view = cast(View, item.view)
    study = open_input(
        item.path,
        tools.geometry,
        series,
        view,
        name=item.study,
        frontal_quantiles=quantiles,
        adapter=tools.adapter,
    )
    return [(item.study, study.view_p)]


def _frontal(store: ViewStore, study: str) -> np.ndarray:
    stored = store.read(study)
    nearest = int(np.abs(stored.yaw_deg).argmin())
    if abs(float(stored.yaw_deg[nearest])) > 1e-3:
        raise InputError(f"{store.path(study)} has no frontal view (0 degrees)")
    return stored.views_p[nearest]


def write_features(out: Path, studies: Sequence[str], features: Sequence[np.ndarray], settings: dict[str, Any]) -> None:
    """`study` (n,) and `features` (n, d) float32 as .npz, or one row a study as .csv."""
    table = np.stack(features).astype(np.float32)
    if out.suffix.lower() == ".npz":
        write_npz(out, {"study": np.array(studies), "features": table, "settings": np.array(json.dumps(settings))})
        return
    with atomic_path(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["study", *(f"{settings['kind']}_{i}" for i in range(table.shape[1]))])
        writer.writerows([study, *map(float, row)] for study, row in zip(studies, table, strict=True))
