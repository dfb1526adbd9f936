"""Small trees laid out as NLST, CheXpert, ChestX-ray14 and LIDC-IDRI are delivered, with scans and films in them.

Who is ill has a large heart, or a bright spot on the film. Studies of one person lie as in the originals: yearly scans,
several films of one study, laterals, AP views, labels that are not known, scans that nobody followed up.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from xray2xray.core.seeds import deal
from xray2xray.data.cohorts.labels import CHEXPERT_LABELS

VOXEL_MM = 10.0
FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


def people(prefix: str, counts: dict[str, int], first: int = 0) -> dict[str, str]:
    """Patients' names by the split that the package deals them to: so many of each."""
    found: dict[str, str] = {}
    number = first
    while len(found) < sum(counts.values()):
        name, number = f"{prefix}{number}", number + 1
        part = deal(name)
        if sum(one == part for one in found.values()) < counts[part]:
            found[name] = part
    return found


def scan_hu(seed: int, ill: bool) -> np.ndarray:
    """A chest of ellipses on a couch, (40, 32, 32) HU of 10 mm voxels, in RAS; its heart is large if it is ill."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * VOXEL_MM for n in (40, 32, 32)), indexing="ij")
    width, depth = 165 + rng.uniform(-12, 12), 115 + rng.uniform(-10, 10)
    hu = np.full(x.shape, -1000.0)
    hu[(x / width) ** 2 + (y / depth) ** 2 <= 1] = 40
    for side in (-70, 70):
        hu[((x - side) / 58) ** 2 + (y / 82) ** 2 + (z / (100 + rng.uniform(-10, 10))) ** 2 <= 1] = -850
    heart = (62 if ill else 50) + rng.uniform(-10, 10)
    hu[((x + 20) / heart) ** 2 + ((y - 25) / 45) ** 2 + ((z + 40) / 55) ** 2 <= 1] = 50
    hu[x**2 + (y + 85) ** 2 <= 20**2] = 500
    hu[(np.abs(y + 140) <= 6) & (np.abs(x) < 150)] = 150  # the couch
    return hu


def film(seed: int, spot: bool, size: int = 64) -> np.ndarray:
    """A frontal uint8 (size, size): dark lungs in a bright body; a bright spot on the right lung if there is one."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    gray = 0.8 * np.exp(-((x / rng.uniform(0.85, 0.95)) ** 6) - (y / 1.1) ** 6)
    gray -= 0.5 * np.exp(-(((np.abs(x) - 0.4) / rng.uniform(0.2, 0.25)) ** 2) - (y / rng.uniform(0.5, 0.6)) ** 4)
    for cx, cy, height in rng.uniform((-0.9, -0.9, -0.1), (0.9, 0.9, 0.1), (40, 3)):
        gray += height * np.exp(-(((x - cx) / 0.15) ** 2) - ((y - cy) / 0.15) ** 2)
    if spot:
        gray += 0.12 * np.exp(-(((x + 0.4) / 0.12) ** 2) - ((y - 0.2) / 0.12) ** 2)
    return (255 * (gray - gray.min()) / np.ptp(gray)).astype(np.uint8)


def save_film(path: Path, seed: int, spot: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(film(seed, spot)).save(path)


def save_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def save_scan(folder: Path, patient: str, date: str, hu: np.ndarray) -> None:
    """A series of axial CT images: LPS, the first at the bottom."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series = (UID(generate_uid(entropy_srcs=[str(place)])) for place in (folder.parent, folder))
    for k in range(hu.shape[2]):
        image = _image(CTImageStorage, patient, date, "CT", study, series)
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.ImagePositionPatient = [
            -(hu.shape[0] - 1) / 2 * VOXEL_MM,
            -(hu.shape[1] - 1) / 2 * VOXEL_MM,
            k * VOXEL_MM,
        ]
        image.ImageOrientationPatient, image.PixelSpacing = [1, 0, 0, 0, 1, 0], [VOXEL_MM, VOXEL_MM]
        image.RescaleSlope, image.RescaleIntercept = 1, -1024
        _fill(image, np.rint(hu[::-1, ::-1, k].T + 1024).astype(np.uint16))  # columns run to the left, rows to the back
        pydicom.dcmwrite(folder / f"1-{k + 1:02d}.dcm", image, enforce_file_format=True)


def save_dx(path: Path, patient: str, seed: int, view: str) -> None:
    """A digital radiograph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    study, series = (UID(generate_uid(entropy_srcs=[str(place)])) for place in (path.parent.parent, path.parent))
    image = _image(DigitalXRayImageStorageForPresentation, patient, "20000101", "DX", study, series)
    image.ViewPosition = view
    _fill(image, film(seed, False).astype(np.uint16) * 16)
    pydicom.dcmwrite(path, image, enforce_file_format=True)


def _image(sop_class: str, patient: str, date: str, modality: str, study: UID, series: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    image.PatientID, image.StudyDate, image.Modality = patient, date, modality
    return image


def _fill(image: FileDataset, pixels: np.ndarray) -> None:
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    image.PixelData = pixels.tobytes()


# ---------------------------------------------------------------- the trees


def nlst(root: Path, counts: dict[str, int]) -> Path:
    """NLST: participants who came once, twice or three times; every seventh was not followed up."""
    participants, abnormalities = [], []
    for number, pid in enumerate(people("", counts, first=100_000)):
        ill = number % 2 == 1
        for year in range((1, 2, 1, 3)[number % 4]):
            hu = scan_hu(10 * number + year, ill)
            date = f"{1999 + year}0102"
            save_scan(root / "NLST" / pid / f"01-02-{1999 + year}-NA-{number}" / "2.0-CHEST", pid, date, hu)
        followed = number % 7 != 6
        died = 900 + 20 * number if ill and followed else ".N"
        cause = "I219" if ill and followed else ".N"
        seen = 2000 + 10 * number if followed else ".N"
        participants.append([pid, 55 + number % 17, 1 + number // 2 % 2, 1, 366, 731, seen, died, cause])
        if ill and not followed:
            abnormalities.append([pid, 0, 60])
        abnormalities.append([pid, 0, 51])
    header = ["pid", "age", "gender", "scr_days0", "scr_days1", "scr_days2", "fup_days", "death_days", "dcficd"]
    save_csv(root / "participant_d040722.csv", header, participants)
    save_csv(root / "sct_abnormalities_d040722.csv", ["pid", "study_yr", "sct_ab_desc"], abnormalities)
    return root


def chexpert(root: Path, counts: dict[str, int]) -> Path:
    """CheXpert-v1.0-small: PA and AP frontals, laterals, two studies of every third patient, -1 and blanks."""
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT_LABELS]
    number = 0
    for part, table in (("train", "train.csv"), ("validation", "valid.csv"), ("test", "test.csv")):
        rows = []
        for _ in range(counts[part]):
            number += 1
            folder = {"train": "train", "validation": "valid", "test": "test"}[part]
            for study in range(1, 3 if number % 3 == 0 else 2):
                ill = number % 2
                labels = {name: "" if name not in FIVE else f"{float(ill)}" for name in CHEXPERT_LABELS}
                if number % 8 == 0:
                    labels["Edema"] = "-1.0"
                if number % 5 == 0:
                    labels["Consolidation"] = ""
                where = f"{folder}/patient{number:05d}/study{study}"
                direction = "AP" if number % 4 else "PA"
                for view, side, said in (("view1_frontal", "Frontal", direction), ("view2_lateral", "Lateral", "")):
                    if side == "Frontal" or number % 2:
                        path = f"{where}/{view}.jpg"
                        save_film(root / path, 100 * number + study + (50 if said == "" else 0), bool(ill))
                        person = ["Female" if number % 3 else "Male", 40 + number]
                        rows.append([f"CheXpert-v1.0-small/{path}", *person, side, said, *labels.values()])
        save_csv(root / table, header, rows)
    return root


def nih(root: Path, counts: dict[str, int]) -> Path:
    """ChestX-ray14: one or two films of a patient, an age of 414 years, and the official lists of two splits."""
    rows: list[list[object]] = []
    listed: dict[str, list[str]] = {"train": [], "test": []}
    number = 0
    for part in listed:
        for _ in range(counts[part]):
            number += 1
            for follow_up in range(1 + number % 2):
                name = f"{number:08d}_{follow_up:03d}.png"
                ill = number % 2 == 0
                save_film(root / "images_001" / "images" / name, 200 * number + follow_up, ill)
                age = "414Y" if number == 1 else f"{40 + number:03d}Y"
                finding = "Effusion|Edema" if ill else "No Finding"
                rows.append([name, finding, follow_up, number, age, "MF"[number % 2], "AP" if number % 3 else "PA"])
                listed[part].append(name)
    header = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender"]
    save_csv(root / "Data_Entry_2017.csv", [*header, "View Position"], rows)
    (root / "train_val_list.txt").write_text("\n".join(listed["train"]))
    (root / "test_list.txt").write_text("\n".join(listed["test"]))
    return root


def lidc(root: Path, counts: dict[str, int]) -> Path:
    """LIDC-IDRI: a CT of each patient, and of every third a radiograph and its lateral."""
    for number, patient in enumerate(people("LIDC-IDRI-", counts, first=1000)):
        study = root / patient / "01-01-2000-NA-NA-30178"
        save_scan(study / "3000566.000000-NA-03192", patient, "20000101", scan_hu(5000 + number, number % 2 == 1))
        if number % 3 == 0:
            films = root / patient / "01-01-2000-NA-NA-35511" / "3000923.000000-NA-62357"
            save_dx(films / "1-1.dcm", patient, 9000 + number, "PA")
            save_dx(films / "1-2.dcm", patient, 9500 + number, "LL")
    return root
