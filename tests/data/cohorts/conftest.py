"""Small trees laid out as the cohorts are delivered, with real picture files in them."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)


def picture(seed: int, size: int = 96) -> np.ndarray:
    """uint8 (size, size): dark lungs in a bright body, and shadows that differ from seed to seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    gray = 0.8 * np.exp(-((x / 0.9) ** 6) - (y / 1.1) ** 6)
    gray -= 0.5 * np.exp(-(((np.abs(x) - 0.4) / 0.22) ** 2) - (y / 0.55) ** 4)
    for cx, cy, height in rng.uniform((-0.9, -0.9, -0.3), (0.9, 0.9, 0.3), (40, 3)):
        gray += height * np.exp(-(((x - cx) / 0.15) ** 2) - ((y - cy) / 0.15) ** 2)
    return (255 * (gray - gray.min()) / np.ptp(gray)).astype(np.uint8)


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def save_dicom(path: Path, patient: str, date: str, modality: str, seed: int = 0, **tags: object) -> None:
    """One image of a series; its study and series are named by its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = generate_uid(), ExplicitVRLittleEndian
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = UID(generate_uid(entropy_srcs=[str(path.parent.parent)]))
    image.SeriesInstanceUID = UID(generate_uid(entropy_srcs=[str(path.parent)]))
    image.PatientID, image.StudyDate, image.Modality = patient, date, modality
    pixels = picture(seed)
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(image, name, value)
    pydicom.dcmwrite(path, image, enforce_file_format=True)


@pytest.fixture
def chexpert(tmp_path: Path) -> Path:
    """CheXpert-v1.0-small: three patients in train, one in valid, one in test whose table has no views."""
    from xray2xray.data.cohorts.labels import CHEXPERT_LABELS

    root = tmp_path / "CheXpert-v1.0-small"
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT_LABELS]

    def row(path: str, side: str, direction: str, **labels: str) -> list[str]:
        cells = [labels.get(name.replace(" ", "_"), "") for name in CHEXPERT_LABELS]
        return [f"CheXpert-v1.0-small/{path}", "Female", "68", side, direction, *cells]

    train = [
        row("train/patient00001/study1/view1_frontal.jpg", "Frontal", "AP", Edema="1.0", Cardiomegaly="-1.0"),
        row("train/patient00001/study1/view2_lateral.jpg", "Lateral", "", Edema="1.0", Cardiomegaly="-1.0"),
        row("train/patient00002/study1/view1_frontal.jpg", "Frontal", "PA", Edema="0.0", Cardiomegaly="1.0"),
        row("train/patient00003/study2/view1_frontal.jpg", "Frontal", "AP", Atelectasis="1.0"),
    ]
    valid = [row("valid/patient64541/study1/view1_frontal.jpg", "Frontal", "AP", Edema="0.0", Cardiomegaly="0.0")]
    write_csv(root / "train.csv", header, train)
    write_csv(root / "valid.csv", header, valid)
    test = ["test/patient64741/study1/view1_frontal.jpg", *("1.0" if n == "Edema" else "0.0" for n in CHEXPERT_LABELS)]
    write_csv(root / "test_labels.csv", ["Path", *CHEXPERT_LABELS], [test])
    for i, path in enumerate([*(r[0].split("/", 1)[1] for r in train[:3] + valid), test[0]]):
        save(root / path, i)  # patient00003's is missing
    return root


@pytest.fixture
def mimic(tmp_path: Path) -> Path:
    """MIMIC-CXR-JPG: two patients, three images; one study without labels; one table unpacked."""
    from xray2xray.data.cohorts.labels import CHEXPERT_LABELS

    root = tmp_path / "mimic-cxr-jpg" / "2.0.0"
    images = [  # dicom_id, subject, study, view, split
        ("02aa804e-bde0afdd", 10000032, 50414267, "PA", "train"),
        ("174413ec-4ec4c1f7", 10000032, 50414267, "LATERAL", "train"),
        ("2a2277a9-b0ded155", 11000764, 53189527, "AP", "validate"),
        ("68b5c4b1-227d0485", 11000764, 53911762, "", "validate"),
    ]
    metadata = [(image, subject, study, "CHEST (PA AND LAT)", view) for image, subject, study, view, _ in images]
    columns = ["dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition"]
    write_csv(root / "mimic-cxr-2.0.0-metadata.csv.gz", columns, metadata)
    split = [(image, study, subject, part) for image, subject, study, _, part in images]
    write_csv(root / "mimic-cxr-2.0.0-split.csv", ["dicom_id", "study_id", "subject_id", "split"], split)
    labels = ["1.0" if name == "Edema" else "-1.0" if name == "Pneumonia" else "" for name in sorted(CHEXPERT_LABELS)]
    header = ["subject_id", "study_id", *sorted(CHEXPERT_LABELS)]
    write_csv(root / "mimic-cxr-2.0.0-chexpert.csv.gz", header, [[10000032, 50414267, *labels]])
    for i, (image, subject, study, _, _) in enumerate(images[:3]):
        save(root / "files" / f"p{str(subject)[:2]}" / f"p{subject}" / f"s{study}" / f"{image}.jpg", 10 + i)
    return root


@pytest.fixture
def nlst(tmp_path: Path) -> Path:
    """NLST: three participants with CTs (one twice screened), CDAS tables with capitals and codes for missing."""
    root = tmp_path / "manifest-NLST_allCT"
    exams = [
        ("100012", "01-02-1999-NA-NLST-LSS-37720", "19990102"),
        ("100012", "01-02-2001-NA-NLST-LSS-55322", "20010102"),
        ("100147", "01-02-1999-NA-NLST-LSS-63991", "19990102"),
        ("200009", "01-02-1999-NA-NLST-ACRIN-11765", "19990102"),
    ]
    for i, (pid, study, date) in enumerate(exams):
        for series in ("1.000000-0OPLGELSQXAMPER-75524", "2.000000-0OPAGELSPLUSD3602.512080.00.11.5-35858"):
            save_dicom(root / "NLST" / pid / study / series / "1-1.dcm", pid, date, "CT", 20 + i)
    people = [  # pid, rndgroup, scr_days0-2, fup_days, death_days, dcficd
        [100012, 1, 10, 380, 740, 2500, ".N", ".N"],
        [100147, 1, 5, ".N", ".N", 900, 1000, "I219"],
        [200009, 1, 0, 365, 730, 700, 710, "C349"],
        [200010, 1, 0, 365, 730, 2000, ".N", ".N"],
    ]
    header = ["pid", "rndgroup", "scr_days0", "scr_days1", "scr_days2", "fup_days", "death_days", "dcficd"]
    write_csv(root / "participant_d040722.csv", header, people)
    found = [[100012, 2, 60], [100012, 0, 54], [100012, 0, 51], [200009, 0, 58], [200009, ".M", 59], [200010, 0, 55]]
    write_csv(root / "sct_abnormalities_d040722.csv", ["PID", "STUDY_YR", "SCT_AB_DESC"], found)
    return root


@pytest.fixture
def lidc(tmp_path: Path) -> Path:
    """LIDC-IDRI: two patients, one with a DX series of a frontal and a lateral, one with a CR that does not say."""
    root = tmp_path / "LIDC-IDRI"
    for i, name in enumerate(("LIDC-IDRI-0001", "LIDC-IDRI-0002")):
        ct = root / name / "01-01-2000-NA-NA-30178" / "3000566.000000-NA-03192"
        for k in range(2):
            save_dicom(ct / f"1-{k + 1:03d}.dcm", name, "20000101", "CT", 30 + i)
    dx = root / "LIDC-IDRI-0001" / "01-01-2000-NA-NA-35511" / "3000923.000000-NA-62357"
    save_dicom(dx / "1-1.dcm", "LIDC-IDRI-0001", "20000101", "DX", 40, ViewPosition="PA")
    save_dicom(dx / "1-2.dcm", "LIDC-IDRI-0001", "20000101", "DX", 41, PatientOrientation=["A", "F"])
    cr = root / "LIDC-IDRI-0002" / "01-01-2000-NA-NA-98329" / "3000522.000000-NA-45499"
    save_dicom(cr / "1-1.dcm", "LIDC-IDRI-0002", "20000101", "CR", 42)
    (cr.parent / "damaged").mkdir()
    (cr.parent / "damaged" / "1-1.dcm").write_bytes(b"not DICOM")
    return root


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    """ChestX-ray14: three patients, the pictures in images_001/images."""
    root = tmp_path / "ChestXray-NIHCC"
    header = [
        "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View Position",
        "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]", "",
    ]  # fmt: skip
    rows = [
        ["00000001_000.png", "Cardiomegaly|Effusion", 0, 1, "058Y", "M", "PA"],
        ["00000001_001.png", "No Finding", 1, 1, "058Y", "M", "AP"],
        ["00000002_000.png", "Pleural_Thickening", 0, 2, "081Y", "M", "PA"],
        ["00000003_000.png", "Hernia", 0, 3, "081Y", "F", "PA"],
    ]
    write_csv(root / "Data_Entry_2017.csv", header, [[*row, 2682, 2749, 0.143, 0.143, ""] for row in rows])
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (root / "test_list.txt").write_text("00000002_000.png\n00000003_000.png\n")
    for i, row in enumerate(rows[:3]):
        save(root / "images_001" / "images" / str(row[0]), 50 + i)
    return root
