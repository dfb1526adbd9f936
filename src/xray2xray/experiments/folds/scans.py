"""Which real scan lies in which fold: a table of the package, made once, by patient."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from ...core.errors import InputError
from ...data.groups import group_of
from ...data.store import ViewStore

FOLDS = 5


@dataclass(frozen=True)
class Scan:
    """`fold`: which one holds the scan out. `range`: `whole`, from the neck to the abdomen and all of the body's width,
    or `cut`, a scan whose field of view ends within the chest or the body."""

    fold: int
    range: str


def known_scans() -> dict[str, Scan]:
    """The scans of the table, by the name of their study."""
    text = files(__package__).joinpath("folds.csv").read_text(encoding="utf-8")
    return {row["study"]: Scan(int(row["fold"]), row["range"]) for row in csv.DictReader(text.splitlines())}


@dataclass(frozen=True)
class Split:
    """The studies of a store of real scans and their warps, for one fold.

    Attributes:
        learned: studies to learn from: scans of the other folds, each followed by its warps.
        judged: scans that are held out; never a warp.
    """

    learned: tuple[str, ...]
    judged: tuple[str, ...]


def split(store: ViewStore, fold: int, count: int | None = None, seed: int = 0) -> Split:
    """The scans of a store in and outside of a fold.

    Args:
        count: learn from so many scans only, drawn by `seed`: of two counts the larger holds the smaller.

    Raises:
        InputError: a scan is not in the table, or the fold leaves none to learn from or to judge.
    """
    known, of_patient = known_scans(), patients(store)
    if unknown := sorted(of_patient.keys() - known.keys()):
        raise InputError(f"{store.folder} holds {unknown[0]}, which has no fold in folds.csv; add it there")
    taught = [patient for patient in sorted(of_patient) if known[patient].fold != fold]
    order = np.random.default_rng(seed).permutation(len(taught))[: len(taught) if count is None else count]
    judged = tuple(patient for patient in sorted(of_patient) if known[patient].fold == fold)
    learned = tuple(study for i in sorted(order) for study in of_patient[taught[i]])
    if not judged or not learned:
        raise InputError(f"{store.folder}: fold {fold} leaves nothing to {'learn from' if judged else 'judge'}")
    return Split(learned, judged)


def patients(store: ViewStore) -> Mapping[str, Sequence[str]]:
    """The studies of each patient of a store, by the name of the scan, which comes first."""
    found: dict[str, list[str]] = {}
    for study in store.studies():
        found.setdefault(group_of(store.read_labels(study), study), []).append(study)
    return {patient: sorted(studies, key=lambda study: (study != patient, study)) for patient, studies in found.items()}
