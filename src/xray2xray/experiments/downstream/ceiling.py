"""The frontal-only ceiling of each task (`xray2xray.experiments.ceiling`), and who is above it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from .methods import Method
from .tasks import main_metric

# readers of ceiling.json: of a frontal alone, and with age and sex
FRONTAL, FRONTAL_KNOWN = "frontal", "frontal, age and sex"


@dataclass(frozen=True)
class Ceiling:
    """`readers`: reader -> task -> (value, upper end of its 95 % interval); lateral and oracle are in it too."""

    path: str
    readers: Mapping[str, Mapping[str, tuple[float, float]]]

    def of(self, task: str, method: Method) -> tuple[float, float] | None:
        """The ceiling of a method that sees no more than a frontal; None for others."""
        if not method.frontal_only:
            return None
        return self.readers[FRONTAL_KNOWN if method.knows_age else FRONTAL][task]


def read_ceiling(path: str | Path, tasks: Sequence[str]) -> Ceiling:
    """Raises InputError if the file is no ceiling.json, or lacks one of the tasks."""
    try:
        readers = json.loads(Path(path).read_text(encoding="utf-8"))["readers"]
        found = {
            reader: {task: (float(scores[task]["value"]), float(scores[task]["ci95"][1])) for task in tasks}
            for reader, scores in readers.items()
        }
        if not {FRONTAL, FRONTAL_KNOWN} <= set(found):
            raise KeyError(FRONTAL)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: no usable ceiling of these tasks ({said}); give the ceiling.json of xray2xray.experiments.ceiling"
        ) from None
    return Ceiling(str(path), found)


def leaks(rows: Sequence[Mapping[str, Any]], methods: Mapping[str, Method], ceiling: Ceiling) -> list[dict[str, Any]]:
    """Frontal-only methods that score above the upper end of their ceiling: they know what a frontal cannot show."""
    found = []
    for row in rows:
        above = ceiling.of(row["task"], methods[row["method"]])
        if above is not None and row["metric"] == main_metric(row["task"]) and row["value"] > above[1]:
            named = {key: row[key] for key in ("task", "method", "n_labels", "value")}
            found.append({**named, "ceiling": above[0], "ceiling_high": above[1]})
    return found
