"""Public cohorts, and anyone's own pictures, as one table of studies (docs/howto/public-cohorts.md)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from .checks import check_classes, check_images, check_names, check_split, paper_sizes
from .chexpert import read_chexpert
from .fingerprint import Fingerprint, fingerprint
from .labels import Policy, Uncertain, Unmentioned
from .lidc import read_lidc
from .mimic import read_mimic
from .nih import read_nih
from .nlst import read_nlst
from .plain import read_plain
from .table import Cohort, Sample, summary, write_table

Kind = Literal["nlst", "lidc", "nih", "chexpert", "mimic", "csv"]

__all__ = [
    "Cohort",
    "Fingerprint",
    "Kind",
    "Policy",
    "Sample",
    "Uncertain",
    "Unmentioned",
    "check_classes",
    "check_images",
    "check_names",
    "check_split",
    "fingerprint",
    "paper_sizes",
    "read_cohort",
    "summary",
    "write_table",
]


def read_cohort(
    folder: str | Path,
    kind: Kind,
    policy: Policy | None = None,
    workers: int | None = 1,
    numbers: Sequence[str] | None = (),
) -> Cohort:
    """The cohort in a folder, of `csv` in a table, as it came: only impossible outcomes are left out yet.

    Args:
        workers: processes that read the headers of DICOM files (None: one for each core).
        numbers: as `read_plain` has them, of a table.

    Raises:
        InputError: it does not have the layout of its kind.
    """
    if kind == "csv":
        found = read_plain(folder, policy, numbers)
    elif kind in ("chexpert", "mimic"):
        found = {"chexpert": read_chexpert, "mimic": read_mimic}[kind](folder, policy)
    elif kind in ("nlst", "lidc"):
        found = {"nlst": read_nlst, "lidc": read_lidc}[kind](folder, workers)
    else:
        found = read_nih(folder)
    return found.without_bad_outcomes()
