"""The frontals of an input of `xray2xray embed`, and the table of features that it writes."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..data.inputs import Input
from ..data.store import ViewStore
from ..io.files import atomic_path, write_npz
from .session import Session
from .study import View


def frontals(item: Input, session: Session, series: str | None, view: View) -> list[tuple[str, np.ndarray]]:
    """The study's name and its frontal view (size, size) in p; of a view store one for each study.

    Where `view` is auto, what the item's table says counts.
    """
    if item.kind == "store":
        store = ViewStore.open(item.path)
        return [(study, _frontal(store, study)) for study in store.studies()]
    return [(item.study, session.study(item, series=series, view=view).view_p)]


def _frontal(store: ViewStore, study: str) -> np.ndarray:
    stored = store.read(study)
    nearest = int(np.abs(stored.yaw_deg).argmin())
    if abs(float(stored.yaw_deg[nearest])) > 1e-3:
        raise InputError(f"{store.path(study)} has no frontal view (0 degrees)")
    return stored.views_p[nearest]


def write_features(
    out: Path, studies: Sequence[str], features: Sequence[np.ndarray], settings: Mapping[str, Any]
) -> None:
    """`study` (n,) and `features` (n, d) float32 as .npz, or one row a study as .csv."""
    table = np.stack(features).astype(np.float32)
    if out.suffix.lower() == ".npz":
        write_npz(out, {"study": np.array(studies), "features": table, "settings": np.array(json.dumps(settings))})
        return
    with atomic_path(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["study", *(f"{settings['kind']}_{i}" for i in range(table.shape[1]))])
        writer.writerows([study, *map(float, row)] for study, row in zip(studies, table, strict=True))
