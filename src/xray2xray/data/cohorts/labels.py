"""What a cell of a label table means: there, not there, unknown; and one spelling for the names of findings."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ...core.errors import InputError

Uncertain = Literal["ignore", "zeros", "ones"]
Unmentioned = Literal["ignore", "zeros"]

_AGE = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*Y?", re.IGNORECASE)  # DICOM writes 058Y
_SEX = {"f": "F", "female": "F", "m": "M", "male": "M"}
OLDEST = 120  # years; ChestX-ray14 has people of 414
_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_COMMA = re.compile(r"[-+]?\d+,\d+")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")

# the 14 columns of the CheXpert labeller, which also labelled MIMIC-CXR-JPG
CHEXPERT_LABELS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """How the labels of a report labeller become numbers.

    Attributes:
        uncertain: -1, the report is not sure. `ignore` makes it unknown, `zeros` and `ones` are the U-Zeros and U-Ones
            of Irvin et al., AAAI 2019 (arXiv 1901.07031).
        unmentioned: blank, the report does not speak of it. `zeros` takes silence for absence, as is usual with these
            labels; `ignore` makes it unknown.
    """

    uncertain: Uncertain = "ignore"
    unmentioned: Unmentioned = "zeros"

    def number(self, cell: str) -> float:
        """1, 0 or NaN.

        Raises:
            InputError: the cell is no label.
        """
        if not cell:
            return 0.0 if self.unmentioned == "zeros" else math.nan
        value = as_label(cell)
        if value == -1:
            return {"ignore": math.nan, "zeros": 0.0, "ones": 1.0}[self.uncertain]
        if value not in (0, 1):
            raise InputError(f"{cell!r} is no label; there are 1, 0, true, false, yes, no, -1 (uncertain) and nothing")
        return value

    def numbers(self, row: Mapping[str, str], columns: Iterable[str], where: str) -> dict[str, float]:
        """The labels of a row under their common names.

        Raises:
            InputError: a cell is no label; the message begins with `where`.
        """
        labels: dict[str, float] = {}
        for column in columns:
            try:
                labels[label_name(column)] = self.number(row[column])
            except InputError as error:
                raise InputError(f"{where}, column {column}: {error}") from None
        return labels


def label_name(column: str) -> str:
    """`Pleural Effusion` as `pleural_effusion`; `Effusion`, as ChestX-ray14 calls it, is the same finding."""
    name = "_".join(column.lower().split())
    return "pleural_effusion" if name == "effusion" else name


def as_label(cell: str) -> float:
    """A number, with true and yes for 1, false and no for 0; NaN where the cell is neither."""
    return _WORDS.get(cell.lower(), as_number(cell))


def as_number(cell: str) -> float:
    """NaN where a cell holds no finite number. 1,5 is 1.5; 1,500 may be 1.5 or 1500."""
    if _COMMA.fullmatch(cell) and not _THOUSANDS.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        number = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def as_age(cell: str) -> float:
    """Years; NaN where a cell says none that somebody may have."""
    found = _AGE.fullmatch(cell)
    years = float(found.group(1)) if found else math.nan
    return years if 0 < years <= OLDEST else math.nan


def as_sex(cell: str) -> str:
    """F, M, or empty."""
    return _SEX.get(cell.lower(), "")
