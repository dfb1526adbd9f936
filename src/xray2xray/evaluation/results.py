"""Frozen results of the evaluation: a number with its interval, a case that failed, and how all of them become JSON."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ..statistics.contrasts import holm_by_name
from ..statistics.intervals import mean_interval, mean_p
from .metrics import Array

NOT_JSON = {"json": False}
"""Metadata of a field that holds what figures show, not numbers to keep: `field(metadata=NOT_JSON)`."""

Interval = tuple[float, float]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """A mean over patients with its 95 % interval over them, None for fewer than two patients; of a contrast `p`."""

    mean: float
    ci95: Interval | None
    p: float | None = field(default=None, kw_only=True)

    @classmethod
    def of(cls, values: Array, seed: int = 0) -> "Estimate":
        """From one value for each patient, (n,)."""
        return cls(float(np.mean(values)), mean_interval(values, seed=seed))


def contrasts(differences: Mapping[K, Array], seed: int = 0, primary: K | None = None) -> dict[K, Estimate]:
    """Paired differences that are read side by side, each (n,), with p adjusted for their number (`holm_by_name`)."""
    p = holm_by_name({name: mean_p(values, seed=seed) for name, values in differences.items()}, primary)
    return {name: replace(Estimate.of(values, seed), p=p[name]) for name, values in differences.items()}


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
