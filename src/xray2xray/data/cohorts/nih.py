"""NIH ChestX-ray14 as the Clinical Center delivers it: pictures in images/, Data_Entry_2017.csv and two lists.

Layout and columns: the README of the release, and Wang et al., CVPR 2017 (arXiv 1705.02315). `Image Index` is a file
name, `Finding Labels` joins findings by |, `View Position` is PA or AP. train_val_list.txt and test_list.txt name the
pictures of the official split; no patient is in both. Copies keep the pictures in images_001/images/ and so on.
"""

import re
from pathlib import Path, PurePosixPath

from ...core.errors import InputError
from ...radiograph.view import view_of
from .labels import as_age, as_sex, label_name
from .pictures import Pictures
from .rows import by_id, id_in, one_file, read_rows
from .table import Cohort, Sample, as_view

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia", "No Finding",
)  # fmt: skip
_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
_RELEASED = re.compile(r"(images_\d+/)?images/[^/]+")


def read_nih(folder: str | Path) -> Cohort:
    """The cohort in the folder that holds the table; train_val_list.txt is called train.

    Raises:
        InputError: no table, a column missing, a finding that this cohort does not have, or rows that disagree.
    """
    table = one_file(Path(folder), "Data_Entry_2017*.csv")
    pictures = Pictures(
        Path(folder), lambda path: PurePosixPath(path).stem, lambda path: _RELEASED.fullmatch(path) is not None
    )
    split_of = {
        name: split
        for split, listed in _LISTS.items()
        if (table.parent / listed).is_file()
        for name in (table.parent / listed).read_text(encoding="utf-8", errors="replace").split()
    }
    samples: list[Sample] = []
    failed: dict[str, str] = {}
    rows = read_rows(table, ("Image Index", "Finding Labels", "Patient ID", "View Position"))
    for name, row in by_id(table, rows, "Image Index").items():
        found = set(row["Finding Labels"].split("|"))
        if not found <= set(FINDINGS):
            unknown = min(found - set(FINDINGS))
            raise InputError(
                f"{table}, line {row.line}, column Finding Labels: {unknown!r} is no finding of ChestX-ray14"
            )
        try:
            path = pictures.find(Path(name).stem, name)
            patient = id_in(table, row, "Patient ID")
            if not patient.isdecimal():
                raise InputError(f"Patient ID {patient!r} is no number")
        except InputError as error:
            failed[name] = str(error)
            continue
        labels = {label_name(finding): float(finding in found) for finding in FINDINGS}
        view = as_view(view_of(row["View Position"]) or "frontal")  # it has no laterals
        split = split_of.get(name, "")
        age, sex = as_age(row.get("Patient Age", "")), as_sex(row.get("Patient Gender", row.get("Patient Sex", "")))
        samples.append(Sample(Path(name).stem, f"{int(patient):08d}", path, view, split, labels, age=age, sex=sex))
    return Cohort("nih", tuple(samples), {**failed, **pictures.without_labels()})
