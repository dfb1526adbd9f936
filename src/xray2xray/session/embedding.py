"""The frontals of the inputs of `xray2xray embed`, one at a time, and the table of features that grows on disk."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ..core.errors import InputError, UsageError
from ..data.inputs import Input
from ..data.store import ViewStore
from ..io.archive import new_zip
from ..io.files import atomic_path, write_json
from ..io.text import read_json
from .session import Session
from .study import View

_ROWS = 1024  # copied at a time


@dataclass(frozen=True)
class Frontal:
    """A frontal that is not read yet: of an input, or of a study in the view store that is the input."""

    study: str
    item: Input
    store: ViewStore | None = None

    @property
    def path(self) -> Path:
        return self.item.path if self.store is None else self.store.path(self.study)

    def read(self, session: Session, series: str | None, view: View) -> tuple[str, np.ndarray]:
        """The study's name and its view (size, size) in p. Where `view` is auto, what the item's table says counts."""
        if self.store is not None:
            return self.study, self.store.read_at(self.study, 0.0)
        return self.study, session.study(self.item, series=series, view=view).view_p


def frontals_of(item: Input) -> list[Frontal]:
    """Those of an input; of a view store one for each study."""
    if item.kind != "store":
        return [Frontal(item.study, item)]
    store = ViewStore.open(item.path)
    return [Frontal(study, item, store) for study in store.studies()]


class GrowingTable:
    """Features as they are computed, in a folder beside the file that they become: an interrupted run goes on there.

    Attributes:
        studies: whose features are there, in the order of the rows.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], anew: bool) -> None:
        """`settings`: what the features follow from.

        Raises:
            UsageError: an earlier run with other settings was interrupted.
            InputError: its files are damaged.
        """
        self.out, self.settings = out, dict(settings)
        self._folder = out.with_name(f"{out.name}.partial")
        if anew and self._folder.is_dir():
            shutil.rmtree(self._folder)
        self.studies: list[str] = []
        self._width = 0
        if (self._folder / "settings.json").is_file():
            before = read_json(self._folder / "settings.json", "cannot be used", "delete the folder")
            self._width = int(before.pop("width", 0))
            if before != json.loads(json.dumps(self.settings)):
                raise UsageError(f"{self._folder} was begun with other settings or weights; delete it, or --overwrite")
            self._cut_to_whole_rows()

    def append(self, studies: Sequence[str], features: np.ndarray) -> None:
        """Add rows (n, d) of n studies; on disk when this returns."""
        if not self._width:
            self._width = features.shape[1]
            write_json(self._folder / "settings.json", {**self.settings, "width": self._width})
        with self._rows.open("ab") as rows:  # before the names: a row without a name is computed again
            rows.write(np.ascontiguousarray(features, np.float32).tobytes())
        with self._names.open("a", encoding="utf-8") as names:
            names.write("".join(f"{study}\n" for study in studies))
        self.studies += studies

    def finish(self) -> int:
        """Write `out`: `study` (n,) and `features` (n, d) float32 as .npz, or one row a study as .csv; gives d."""
        shape = len(self.studies), self._width
        with atomic_path(self.out) as temporary:
            if self.out.suffix.lower() == ".npz":
                self._write_npz(temporary, shape)
            else:
                with temporary.open("w", newline="", encoding="utf-8") as file:
                    table = csv.writer(file)
                    table.writerow(["study", *(f"{self.settings['kind']}_{i}" for i in range(self._width))])
                    for study, row in zip(self.studies, self._read(), strict=True):
                        table.writerow([study, *map(float, row)])
        shutil.rmtree(self._folder)
        return self._width

    def _write_npz(self, path: Path, shape: tuple[int, int]) -> None:
        """As `numpy.savez`, a part at a time."""
        small = {"study": np.array(self.studies), "settings": np.array(json.dumps(self.settings))}
        with new_zip(path) as archive:
            for name, array in small.items():
                with archive.open(f"{name}.npy", "w") as file:
                    npy.write_array(file, array, allow_pickle=False)
            with archive.open("features.npy", "w", force_zip64=True) as file, self._rows.open("rb") as rows:
                npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
                shutil.copyfileobj(rows, file, 4 * _ROWS * max(1, self._width))

    def _read(self) -> Iterator[np.ndarray]:
        with self._rows.open("rb") as rows:
            while data := rows.read(4 * _ROWS * self._width):
                yield from np.frombuffer(data, "<f4").reshape(-1, self._width)

    def _cut_to_whole_rows(self) -> None:
        """An interruption may have cut a row or a name in two."""
        if not (self._names.is_file() and self._rows.is_file() and self._width):
            return
        text = self._names.read_text(encoding="utf-8")
        names = text.split("\n")[:-1]
        kept = min(len(names), self._rows.stat().st_size // (4 * self._width))
        self.studies = names[:kept]
        with self._rows.open("r+b") as rows:
            rows.truncate(4 * self._width * kept)
        self._names.write_text("".join(f"{study}\n" for study in self.studies), encoding="utf-8")

    @property
    def _rows(self) -> Path:
        return self._folder / "features.f32"

    @property
    def _names(self) -> Path:
        return self._folder / "studies.txt"


def named_once(frontals: Sequence[Frontal]) -> None:
    """Raise InputError where two frontals have one name: features are keyed by it."""
    first: dict[str, Frontal] = {}
    for one in frontals:
        if first.setdefault(one.study, one) is not one:
            raise InputError(f"{first[one.study].path} and {one.path} are both called {one.study}; rename one")
