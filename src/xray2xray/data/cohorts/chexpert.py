"""CheXpert as Stanford delivers it: train.csv and valid.csv beside train/ and valid/; test where it is there.

Layout and columns: Irvin et al., AAAI 2019 (arXiv 1901.07031), and its datasheet (Garbin et al., arXiv 2105.03020).
`Path` begins with the name of the release (CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg), then
Sex, Age, Frontal/Lateral, AP/PA and 14 labels. The test labels came later, as test.csv or test_labels.csv, with no
columns for the view: the file's name says frontal or lateral. The full release comes in batches with folders of their
own names, so a picture is found by patient, study and view, in folders or joined in one name.
"""

import re
from pathlib import Path, PurePosixPath

from ...core.errors import InputError
from ...radiograph.view import view_of
from .labels import CHEXPERT_LABELS, Policy, as_age, as_sex
from .pictures import Pictures
from .rows import Row, by_id, one_file, read_rows
from .table import Cohort, Sample, View, as_view

_TABLES = {"train": ("train.csv",), "validation": ("valid.csv",), "test": ("test.csv", "test_labels.csv")}
_PICTURE = re.compile(r"(patient\d+)[/_-](study\d+)[/_-](view\d+_[a-z]+)\.\w+$", re.IGNORECASE)


def read_chexpert(folder: str | Path, policy: Policy | None = None) -> Cohort:
    """The cohort in the folder that holds train.csv; its own split, `valid` called validation.

    Raises:
        InputError: no table, a column missing, a cell that is no label, or rows that disagree.
    """
    folder, policy = Path(folder), policy or Policy()
    home = one_file(folder, *(name for names in _TABLES.values() for name in names)).parent
    pictures = Pictures(folder, _key)
    samples: list[Sample] = []
    failed: dict[str, str] = {}
    for split, names in _TABLES.items():
        table = next((home / name for name in names if (home / name).is_file()), None)
        rows = by_id(table, read_rows(table, ("Path", *CHEXPERT_LABELS)), "Path") if table else {}
        for path, row in rows.items():
            where = f"{table}, line {row.line}"
            key = _key(path.replace("\\", "/"))
            if key is None:
                raise InputError(
                    f"{where}, column Path: {path!r} does not end in patient/study/view; is it CheXpert's?"
                )
            labels = policy.numbers(row, CHEXPERT_LABELS, where)
            try:
                found = pictures.find(key, PurePosixPath(path).name)
            except InputError as error:
                failed[path] = str(error)
                continue
            age, sex = as_age(row.get("Age", "")), as_sex(row.get("Sex", ""))
            samples.append(Sample(key, key.split("-")[0], found, _view(row), split, labels, age=age, sex=sex))
    return Cohort("chexpert", tuple(samples), {**failed, **pictures.without_labels()})


def _key(path: str) -> str | None:
    """`patient00001-study1-view1_frontal` of a path that ends so, by folders or in one name."""
    found = _PICTURE.search(path)
    return "-".join(found.groups()) if found else None


def _view(row: Row) -> View:
    side = view_of(row.get("Frontal/Lateral", "")) or view_of(PurePosixPath(row["Path"]).stem) or "frontal"
    direction = view_of(row.get("AP/PA", ""))
    return as_view(direction if side == "frontal" and direction in ("AP", "PA") else side)
