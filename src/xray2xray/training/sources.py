"""What a training draws from: the studies of one view store or of several, each store with its share of the draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.errors import InputError, UsageError
from ..data.groups import check_patients, group_of
from ..data.store import ViewStore
from ..projection.geometry import Geometry


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
    """

    views: np.ndarray
    held_out: int
    weight: Tensor
    key: str
    patients: tuple[str, ...]
    virtual: np.ndarray
    geometry: Geometry
    places: tuple[tuple[ViewStore, str], ...]


def read_studies(
    stores: Sequence[str | Path], shares: Sequence[float] | None, size: int, held_out: int, limit: int | None = None
) -> Studies:
    """Read the standard arc of every study.

    Args:
        stores: folders. Studies are held out from the first, whole patients (see `group_of`).
        shares: of the draws, a number for each store; by default every study is drawn alike.
        size: pixels along the side of a view.
        held_out: at most so many studies, and at most a fifth of the first store.
        limit: use the first studies of every store only.

    Raises:
        InputError: a store is empty or of another size, or another one holds a patient that the first holds out.
        UsageError: not one positive share for each store.
    """
    if shares is not None and (len(shares) != len(stores) or min(shares) <= 0):
        raise UsageError(f"give a positive share for each of the {len(stores)} view stores, got {list(shares)}")
    read = [_read(store, size, limit) for store in stores]
    groups = [one.patients for one in read]
    kept = _held_out(groups[0], held_out)
    # The first store comes last, so that what is held out are the last studies of all.
    order = [*range(1, len(read)), 0]
    counts = [len(patients) for patients in groups]
    counts[0] -= kept
    share = counts if shares is None else shares
    weight = torch.cat([torch.full((counts[i],), share[i] / counts[i]) for i in order])
    everyone = [patient for i in order for patient in groups[i]]
    parts = ["train"] * len(weight) + ["the held-out studies"] * kept
    named = [f"study {row}" for row in range(len(everyone))]
    check_patients(dict(zip(named, parts, strict=True)), dict(zip(named, everyone, strict=True)))
    views = np.concatenate([read[i].views for i in order]) if len(read) > 1 else read[0].views
    virtual = np.concatenate([read[i].virtual for i in order])
    places = tuple((read[i].store, study) for i in order for study in read[i].studies)
    key = " ".join(read[i].key for i in order)
    return Studies(views, kept, weight, key, tuple(everyone), virtual, read[0].store.geometry, places)


@dataclass(frozen=True)
class _Read:
    """What one store holds. The studies of one patient are neighbours; `key` is a name for just these views."""

    store: ViewStore
    studies: list[str]
    views: np.ndarray
    patients: list[str]
    virtual: np.ndarray
    key: str


def _read(folder: str | Path, size: int, limit: int | None) -> _Read:
    store = ViewStore.open(folder)
    studies = store.studies()[:limit]
    if not studies:
        raise InputError(f"{folder} holds no studies; render some with `xray2xray render`")
    if store.geometry.size != size:
        raise InputError(
            f"{folder} holds views of {store.geometry.size} px, the networks want {size};"
            " render the store at that size or choose another preset"
        )
    labels = {study: store.read_labels(study) for study in studies}
    patient_of = {study: group_of(labels[study], study) for study in studies}
    studies.sort(key=lambda study: (patient_of[study], study))
    stored = store.read_standard(studies)
    sample = int(stored[:, :, :: max(1, size // 8), size // 2].astype(np.int64).sum())
    return _Read(
        store,
        studies,
        stored,
        [patient_of[study] for study in studies],
        np.array(["seed" in labels[study] for study in studies]),
        f"{len(studies)} {studies[0]} {studies[-1]} {sample}",
    )


def _held_out(patients: Sequence[str], most: int) -> int:
    """How many studies at the end are held out: a fifth of them at most, and then the rest of the first one's patient.

    None where all studies are one patient's.
    """
    first = len(patients) - min(most, len(patients) // 5)
    while 0 < first < len(patients) and patients[first - 1] == patients[first]:
        first -= 1
    return len(patients) - first if first else 0
