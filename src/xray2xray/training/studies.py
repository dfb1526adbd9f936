"""The views that a stage is trained on, and which of the patients are only looked at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.groups import group_of
from ..data.store import ViewStore
from ..errors import InputError


def read_studies(
    views: str | Path, size: int, wanted_by: str, limit: int | None = None
) -> tuple[np.ndarray, list[str], str]:
    """Stored views (studies, 37, size, size) uint16, whose studies they are (see `group_of`), a name for just these.

    The studies of one patient are neighbours.

    Args:
        views: a view store whose studies hold the standard arc.
        size: pixels that `wanted_by` needs.
        limit: the first studies only.

    Raises:
        InputError: the store is empty or of another size.
    """
    store = ViewStore.open(views)
    studies = store.studies()[:limit]
    if not studies:
        raise InputError(f"{views} holds no studies; render some with `xray2xray phantom` or `xray2xray render`")
    if store.geometry.size != size:
        raise InputError(
            f"{views} holds views of {store.geometry.size} px, {wanted_by} wants {size};"
            " render the store at that size or choose another preset"
        )
    patient_of = {study: group_of(store.read_labels(study), study) for study in studies}
    studies.sort(key=lambda study: (patient_of[study], study))
    stored = store.read_standard(studies)
    sample = int(stored[:, :, :: max(1, size // 8), size // 2].astype(np.int64).sum())
    return stored, [patient_of[study] for study in studies], f"{len(studies)} {studies[0]} {studies[-1]} {sample}"


def held_out_at_the_end(groups: Sequence[str], most: int) -> int:
    """How many studies at the end are held out: a fifth of them at most, and then the rest of the first one's patient.

    None where all studies are one patient's.
    """
    first = len(groups) - min(most, len(groups) // 5)
    while 0 < first < len(groups) and groups[first - 1] == groups[first]:
        first -= 1
    return len(groups) - first if first else 0
