"""NIH ChestX-ray14 as the Clinical Center delivers it: pictures in images/, Data_Entry_2017.csv and two lists.

Layout and columns: the README of the release, and Wang et al., CVPR 2017 (arXiv 1705.02315). `Image Index` is a file
name, `Finding Labels` joins findings by |, `View Position` is PA or AP. train_val_list.txt and test_list.txt name the
pictures of the official split; no patient is in both. Copies keep the pictures in images_001/images/ and so on.
"""

from pathlib import Path

from ...core.errors import InputError
from ...radiograph.view import view_of
from .labels import label_name
from .rows import one_file, read_rows
from .table import Cohort, Sample, as_view

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia", "No Finding",
)  # fmt: skip
_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}


def read_nih(folder: str | Path) -> Cohort:
    """The cohort in the folder that holds the table; train_val_list.txt is called train.

    Raises:
        InputError: no table, a column missing, or a finding that this cohort does not have.
    """
    folder = Path(folder)
    table = one_file(folder, "Data_Entry_2017*.csv")
    pictures = {path.name: path for path in folder.rglob("*.png")}
    split_of = {
        name: split
        for split, listed in _LISTS.items()
        if (folder / listed).is_file()
        for name in (folder / listed).read_text(encoding="utf-8", errors="replace").split()
    }
    samples: list[Sample] = []
    failed: dict[str, str] = {}
    for row in read_rows(table, ("Image Index", "Finding Labels", "Patient ID", "View Position")):
        name = row["Image Index"]
        if name not in pictures:
            failed[name] = "labels without an image"
            continue
        if not row["Patient ID"].isdecimal():
            failed[name] = f"Patient ID {row['Patient ID']!r} is no number"
            continue
        found = set(row["Finding Labels"].split("|"))
        if not found <= set(FINDINGS):
            raise InputError(f"{table}: {name} has the finding {min(found - set(FINDINGS))!r}, unknown in ChestX-ray14")
        labels = {label_name(finding): float(finding in found) for finding in FINDINGS}
        view = as_view(view_of(row["View Position"]) or "frontal")  # it has no laterals
        split = split_of.get(name, "")
        samples.append(Sample(Path(name).stem, f"{int(row['Patient ID']):08d}", pictures[name], view, split, labels))
    return Cohort("nih", tuple(samples), failed)
