"""MIMIC-CXR-JPG as PhysioNet delivers it: files/p10/p10000032/s50414267/<dicom_id>.jpg and three tables.

Layout and columns: Johnson et al., MIMIC-CXR-JPG, PhysioNet, versions 2.0.0 and 2.1.0 (https://doi.org/10.13026/jsn5-t979).
mimic-cxr-2.0.0-metadata.csv.gz has dicom_id, subject_id, study_id and ViewPosition; -split.csv.gz dicom_id and split
(train, validate, test); -chexpert.csv.gz subject_id, study_id and 14 labels, for a study and not for an image. The
tables may have been unpacked.
"""

from pathlib import Path

from ...radiograph.view import view_of
from .labels import CHEXPERT_LABELS, Policy, label_name
from .rows import one_file, read_rows
from .table import Cohort, Sample, as_view

_NAN = float("nan")


def read_mimic(folder: str | Path, policy: Policy | None = None) -> Cohort:
    """The cohort in the folder that holds files/; its own split, `validate` called validation.

    The labels of a study without a row in the table of labels are unknown.

    Raises:
        InputError: a table or column is missing, or a cell is no label.
    """
    folder, policy = Path(folder), policy or Policy()
    metadata, split, labels = (
        read_rows(one_file(folder, f"mimic-cxr-2.*-{name}.csv.gz", f"mimic-cxr-2.*-{name}.csv"), columns)
        for name, columns in (
            ("metadata", ("dicom_id", "subject_id", "study_id", "ViewPosition")),
            ("split", ("dicom_id", "split")),
            ("chexpert", ("study_id", *CHEXPERT_LABELS)),
        )
    )
    split_of = {row["dicom_id"]: row["split"].replace("validate", "validation") for row in split}
    labels_of = {
        row["study_id"]: policy.numbers(row, CHEXPERT_LABELS, f"labels of study {row['study_id']}") for row in labels
    }
    unknown = {label_name(column): _NAN for column in CHEXPERT_LABELS}
    samples: list[Sample] = []
    failed: dict[str, str] = {}
    for row in metadata:
        image, patient, study = row["dicom_id"], f"p{row['subject_id']}", row["study_id"]
        path = folder / "files" / patient[:3] / patient / f"s{study}" / f"{image}.jpg"
        if not path.is_file():
            failed[str(path)] = "listed in the metadata, but there is no image"
            continue
        found = labels_of.get(study, unknown)
        samples.append(
            Sample(image, patient, path, as_view(view_of(row["ViewPosition"])), split_of.get(image, ""), found)
        )
    return Cohort("mimic", tuple(samples), failed)
