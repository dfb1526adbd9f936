"""Frozen results of the evaluation: a number with its interval, a case that failed, and how all of them become JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from ..statistics.intervals import mean_interval
from .metrics import Array

NOT_JSON = {"json": False}
"""Metadata of a field that holds what figures show, not numbers to keep: `field(metadata=NOT_JSON)`."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A mean over patients with its 95 % interval over them, None for fewer than two patients."""

    mean: float
    ci95: Interval | None

    @classmethod
    def of(cls, values: Array, seed: int = 0) -> "Estimate":
        """From one value for each patient, (n,)."""
        return cls(float(np.mean(values)), mean_interval(values, seed=seed))


@dataclass(frozen=True)
class Failure:
    """A case that could not be used, and why."""

    case: str
    evidence_level: str
    reason: str
    input: str | None = None  # the path of a scan


def as_json(value: Any) -> Any:
    """A result as dictionaries, lists and plain values; a part that is absent by default (None) is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = ((one, getattr(value, one.name)) for one in fields(value) if one.metadata.get("json", True))
        return {one.name: as_json(part) for one, part in kept if part is not None or one.default is not None}
    if isinstance(value, Mapping):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value]
    return value
