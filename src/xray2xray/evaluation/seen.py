"""Is a test case in the training store? By its name, and by its looks: then its scores say nothing."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from ..data.cohorts.fingerprint import hash_bits, near_pairs
from ..data.store import ViewStore
from ..projection.geometry import STANDARD_ARC
from ..radiograph.display import to_gray
from .metrics import Array

log = logging.getLogger(__name__)
_FRONTAL = STANDARD_ARC.index(0.0)


class Viewed(Protocol):
    """A case with the views of the standard arc."""

    @property
    def name(self) -> str: ...

    @property
    def views_p(self) -> Array: ...


C = TypeVar("C", bound=Viewed)


def watched(cases: Iterable[C], stores: Sequence[str | Path]) -> Iterator[C]:
    """Pass cases on, and warn of each that a store holds: under its name, or with a frontal that looks the same."""
    names, bits = _frontals(stores)
    for case in cases:
        if names:
            same = {study for study in names if study == case.name}
            alike = {names[j] for _, j in near_pairs(hash_bits(to_gray(case.views_p[_FRONTAL]))[None], bits)}
            if same or alike:
                how = "is called" if same else "looks"
                log.warning(
                    "%s %s like %s in the training store: its scores are of a patient that was learned from",
                    case.name,
                    how,
                    " and ".join(sorted(same or alike)),
                )
        yield case


def _frontals(stores: Sequence[str | Path]) -> tuple[list[str], np.ndarray]:
    """The studies of all stores, and the fingerprints (n, 512) of their frontals."""
    names: list[str] = []
    bits = []
    for store in map(ViewStore.open, stores):
        for study in store.studies():
            frontal = store.read_at(study, 0.0)
            names.append(study)
            bits.append(hash_bits(to_gray(frontal)))
    return names, np.array(bits)
