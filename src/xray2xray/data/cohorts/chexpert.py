"""CheXpert as Stanford delivers it: train.csv and valid.csv beside train/ and valid/; test where it is there.

Layout and columns: Irvin et al., AAAI 2019 (arXiv 1901.07031), and its datasheet (Garbin et al., arXiv 2105.03020).
`Path` begins with the name of the release (CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg), then
Sex, Age, Frontal/Lateral, AP/PA and 14 labels. The test labels came later, as test.csv or test_labels.csv, with no
columns for the view: the file's name says frontal or lateral.
"""

from pathlib import Path, PurePosixPath

from ...core.errors import InputError
from ...radiograph.view import view_of
from .labels import CHEXPERT_LABELS, Policy
from .rows import one_file, read_rows
from .table import Cohort, Sample, View, as_view

_TABLES = {"train": ("train.csv",), "validation": ("valid.csv",), "test": ("test.csv", "test_labels.csv")}
_FOLDERS = ("train", "valid", "test")


def read_chexpert(folder: str | Path, policy: Policy | None = None) -> Cohort:
    """The cohort in the folder that holds train.csv; its own split, `valid` called validation.

    Raises:
        InputError: no table, a column missing, or a cell that is no label.
    """
    folder, policy = Path(folder), policy or Policy()
    one_file(folder, "train.csv", "valid.csv", "test.csv", "test_labels.csv")
    samples: list[Sample] = []
    failed: dict[str, str] = {}
    for split, names in _TABLES.items():
        table = next((folder / name for name in names if (folder / name).is_file()), None)
        for row in read_rows(table, ("Path", *CHEXPERT_LABELS)) if table else ():
            within = _within(row["Path"], str(table))
            path = folder / within
            if not path.is_file():
                failed[str(path)] = "labels without an image"
                continue
            patient, study, picture = within.parts[-3:]
            where = f"{table}: {within}"
            name = f"{patient}-{study}-{Path(picture).stem}"
            samples.append(Sample(name, patient, path, _view(row), split, policy.numbers(row, CHEXPERT_LABELS, where)))
    return Cohort("chexpert", tuple(samples), failed)


def _within(path: str, table: str) -> PurePosixPath:
    """The path below the folder of the release, whatever that is called here."""
    parts = PurePosixPath(path).parts
    start = next((i for i, part in enumerate(parts) if part in _FOLDERS), None)
    if start is None or len(parts) - start < 4:
        raise InputError(f"{table}: {path!r} is not train|valid|test/patient/study/view; is this CheXpert's table?")
    return PurePosixPath(*parts[start:])


def _view(row: dict[str, str]) -> View:
    side = view_of(row.get("Frontal/Lateral", "")) or view_of(PurePosixPath(row["Path"]).stem) or "frontal"
    direction = view_of(row.get("AP/PA", ""))
    return as_view(direction if side == "frontal" and direction in ("AP", "PA") else side)
