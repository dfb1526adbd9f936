"""What a training draws from: the studies of one view store or of several, each store with its share of the draws.

Where a table gave a split, only its training studies are learned, and validation studies are those that are looked at.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, UsageError
from ..core.evidence import RADIOGRAPH, VIRTUAL
from ..data.groups import TRAIN, VALIDATION, check_patients, evidence_of, group_of, part_of
from ..data.store import ViewStore
from ..projection.geometry import Geometry

log = logging.getLogger(__name__)
HELD_OUT = "the held-out studies"


@dataclass(frozen=True)
class Studies:
    """Views uint16 (n, 37, size, size) of all studies; the last `held_out` of them are looked at, never learned.

    Attributes:
        weight: (n - held_out,), how likely each of the others is drawn.
        key: a name for just these views.
        patients: (n,), whose each study is (see `group_of`).
        virtual: (n,) bool, which studies are of virtual patients.
        geometry: how the views were taken.
        places: (n,), the store and the name of each study.
        cohort: whose views they are, in words.
    """

    views: np.ndarray
    held_out: int
    weight: Tensor
    key: str
    patients: tuple[str, ...]
    virtual: np.ndarray
    geometry: Geometry
    places: tuple[tuple[ViewStore, str], ...]
    cohort: str

    @property
    def real_patients(self) -> list[str]:
        """Who was learned from, or looked at, and is no virtual patient."""
        return sorted({who for who, virtual in zip(self.patients, self.virtual, strict=True) if not virtual})


def read_studies(
    stores: Sequence[str | Path], shares: Sequence[float] | None, size: int, held_out: int, limit: int | None = None
) -> Studies:
    """Read the standard arc of every study.

    Args:
        stores: folders. Studies are held out from the first, whole patients (see `group_of`): its validation studies,
            or the last of the others where it has none. Test studies, and radiographs, are never read.
        shares: of the draws, a number for each store; by default every study is drawn alike.
        size: pixels along the side of a view.
        held_out: at most so many studies, and at most a fifth of a first store without validation studies.
        limit: use the first studies of every store only.

    Raises:
        InputError: a store is empty or of another size, or holds out a patient that it or another gives to training.
        UsageError: not one positive share for each store.
    """
    if shares is not None and (len(shares) != len(stores) or min(shares) <= 0):
        raise UsageError(f"give a positive share for each of the {len(stores)} view stores, got {list(shares)}")
    read = [_read(store, size, limit, held_out if number == 0 else 0) for number, store in enumerate(stores)]
    groups = [one.patients for one in read]
    kept = read[0].validation or _held_out(groups[0], held_out)
    # The first store comes last, so that what is held out are the last studies of all.
    order = [*range(1, len(read)), 0]
    counts = [len(patients) for patients in groups]
    counts[0] -= kept
    share = counts if shares is None else shares
    weight = torch.cat([torch.full((counts[i],), share[i] / counts[i]) for i in order])
    everyone = [patient for i in order for patient in groups[i]]
    parts = ["train"] * len(weight) + [HELD_OUT] * kept
    named = [f"{read[i].store.folder}: {study}" for i in order for study in read[i].studies]
    aside = {name: patient for one in read for name, patient in one.aside.items()}
    split = dict(zip(named, parts, strict=True)) | dict.fromkeys(aside, HELD_OUT)
    check_patients(split, dict(zip(named, everyone, strict=True)) | aside)
    views = np.concatenate([read[i].views for i in order]) if len(read) > 1 else read[0].views
    virtual = np.concatenate([read[i].virtual for i in order])
    places = tuple((read[i].store, study) for i in order for study in read[i].studies)
    key = " ".join(read[i].key for i in order)
    cohort = " and ".join(one.store.words(one.studies) for one in read)
    return Studies(views, kept, weight, key, tuple(everyone), virtual, read[0].store.geometry, places, cohort)


@dataclass(frozen=True)
class _Read:
    """What one store holds. The studies of one patient are neighbours; `key` is a name for just these views.

    The last `validation` studies are of the validation split. `aside`: whose the studies are that a table keeps from
    training, by name.
    """

    store: ViewStore
    studies: list[str]
    views: np.ndarray
    patients: list[str]
    virtual: np.ndarray
    key: str
    validation: int
    aside: Mapping[str, str]


def _read(folder: str | Path, size: int, limit: int | None, held_out: int) -> _Read:
    store = ViewStore.open(folder)
    if not len(store):
        raise InputError(f"{folder} holds no studies; render some with `xray2xray render`")
    if store.geometry.size != size:
        raise InputError(
            f"{folder} holds views of {store.geometry.size} px, the networks want {size};"
            " render the store at that size or choose another preset"
        )
    labels = {study: store.read_labels(study) for study in store.studies()}
    patient_of = {study: group_of(labels[study], study) for study in labels}
    rendered = [study for study in labels if evidence_of(labels[study]) != RADIOGRAPH]
    if not rendered:
        raise InputError(f"{folder} holds radiographs, which have one view each; the networks learn from CTs")
    if len(rendered) < len(labels):
        log.warning("%s: %d radiographs are left out of the training", folder, len(labels) - len(rendered))
    learned = [study for study in rendered if part_of(labels[study]) == TRAIN][:limit]
    if not learned:
        raise InputError(f"{folder} holds no training study; its table gives all to validation and test")
    watched = [study for study in rendered if part_of(labels[study]) == VALIDATION][:held_out]
    for some in (learned, watched):
        some.sort(key=lambda study: (patient_of[study], study))
    studies = [*learned, *watched]
    stored = store.read_standard(studies)
    sample = int(stored[:, :, :: max(1, size // 8), size // 2].astype(np.int64).sum())
    return _Read(
        store,
        studies,
        stored,
        [patient_of[study] for study in studies],
        np.array([evidence_of(labels[study]) == VIRTUAL for study in studies]),
        f"{len(studies)} {studies[0]} {studies[-1]} {sample}",
        len(watched),
        {f"{store.folder}: {study}": patient_of[study] for study in labels if part_of(labels[study]) != TRAIN},
    )


def _held_out(patients: Sequence[str], most: int) -> int:
    """How many studies at the end are held out: a fifth of them at most, and then the rest of the first one's patient.

    None where all studies are one patient's.
    """
    first = len(patients) - min(most, len(patients) // 5)
    while 0 < first < len(patients) and patients[first - 1] == patients[first]:
        first -= 1
    return len(patients) - first if first else 0
