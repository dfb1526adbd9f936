"""MIMIC-CXR-JPG as PhysioNet delivers it: files/p10/p10000032/s50414267/<dicom_id>.jpg and three tables.

Layout and columns: Johnson et al., MIMIC-CXR-JPG, PhysioNet, versions 2.0.0 and 2.1.0 (https://doi.org/10.13026/jsn5-t979).
mimic-cxr-2.0.0-metadata.csv.gz has dicom_id, subject_id, study_id and ViewPosition; -split.csv.gz dicom_id and split
(train, validate, test); -chexpert.csv.gz subject_id, study_id and 14 labels, for a study and not for an image. The
tables may have been unpacked. A picture is found by its dicom_id, which is unique, wherever it lies.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from ...core.errors import InputError
from ...radiograph.view import view_of
from .labels import CHEXPERT_LABELS, Policy, label_name
from .pictures import Pictures
from .rows import Row, as_id, by_id, one_file, read_rows
from .table import Cohort, Sample, as_view

_NAN = float("nan")
_RELEASED = re.compile(r"files/p\d+/p\d+/s\d+/[^/]+")


def read_mimic(folder: str | Path, policy: Policy | None = None) -> Cohort:
    """The cohort in the folder that holds the tables; its own split, `validate` called validation.

    The labels of a study without a row in the table of labels are unknown.

    Raises:
        InputError: a table or column is missing, a cell is no label, or rows disagree.
    """
    folder, policy = Path(folder), policy or Policy()
    metadata = _rows(folder, "metadata", "dicom_id", ("subject_id", "study_id", "ViewPosition"))
    split = _rows(folder, "split", "dicom_id", ("split",))
    labels = _rows(folder, "chexpert", "study_id", CHEXPERT_LABELS)
    labels_of = {
        study: policy.numbers(row, CHEXPERT_LABELS, f"labels of study {study}, line {row.line}")
        for study, row in labels.items()
    }
    unknown = {label_name(column): _NAN for column in CHEXPERT_LABELS}
    pictures = Pictures(
        folder,
        lambda path: PurePosixPath(path).stem,
        lambda path: _RELEASED.fullmatch(path) is not None,
    )
    samples: list[Sample] = []
    failed: dict[str, str] = {}
    for image, row in metadata.items():
        try:
            path = pictures.find(image, f"{image}.jpg")
            patient, study = as_id(row["subject_id"]), as_id(row["study_id"])
        except InputError as error:
            failed[image] = str(error)
            continue
        part = split[image]["split"].replace("validate", "validation") if image in split else ""
        found = labels_of.get(study, unknown)
        samples.append(Sample(image, f"p{patient}", path, as_view(view_of(row["ViewPosition"])), part, found))
    return Cohort("mimic", tuple(samples), {**failed, **pictures.without_labels()})


def _rows(folder: Path, name: str, key: str, columns: Iterable[str]) -> Mapping[str, Row]:
    table = one_file(folder, f"mimic-cxr-2.*-{name}.csv.gz", f"mimic-cxr-2.*-{name}.csv")
    return by_id(table, read_rows(table, (key, *columns)), key)
