"""Names planted in the headers of inputs are in nothing that the verbs write or say."""

import base64
import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.uid import DigitalXRayImageStorageForPresentation as Film
from pydicom.uid import ExplicitVRLittleEndian

from benchmarks.fuzz.formats import ct_series, dicom_image, frontal, scan
from xray2xray.commands import cli

PLANTED = {
    "PatientName": "Quxplantname^Person",
    "PatientID": "QuxplantID-4711",
    "PatientBirthDate": "19010203",
    "OtherPatientIDs": "QuxplantOtherID",
    "InstitutionName": "Quxplanthospital",
    "ReferringPhysicianName": "Quxplantdoctor",
    "StudyDescription": "Quxplantstudy",
    "SeriesDescription": "Quxplantseries",
    "AccessionNumber": "QuxplantAcc",
    "StationName": "Quxplantscanner",
    "OperatorsName": "Quxplantoperator",
}
SECRETS = re.compile(b"quxplant|19010203", re.IGNORECASE)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT as folder, zip and NIfTI, and radiographs as DICOM, PNG and JPEG, with planted names wherever they fit."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "ct" / "p1" / "study").mkdir(parents=True)
    ct_series(folder / "ct" / "p1" / "study" / "series")
    gray = (255 * frontal()).astype(np.uint8)
    radiograph = dicom_image(Film, ExplicitVRLittleEndian, gray, Modality="DX", ViewPosition="AP")
    radiograph.StudyInstanceUID, radiograph.SeriesInstanceUID = "1.2.7", "1.2.6"
    (folder / "dx" / "p1" / "study" / "series").mkdir(parents=True)
    pydicom.dcmwrite(folder / "dx" / "p1" / "study" / "series" / "1.dcm", radiograph)
    for file in folder.rglob("*.dcm"):
        image = pydicom.dcmread(file)
        _plant(image)
        image.save_as(file)
    with zipfile.ZipFile(folder / "ct.zip", "w") as archive:
        for file in (folder / "ct").rglob("*.dcm"):
            archive.write(file, file.name)
    hu, affine = scan()
    nifti = nib.Nifti1Image(hu.astype(np.int16), affine)
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        nifti.header[field] = "Quxplant"
    nib.save(nifti, folder / "ct.nii.gz")
    text = PngInfo()
    text.add_text("Patient", "Quxplantname")
    exif = Image.Exif()
    exif[0x010E] = "Quxplantname"
    Image.fromarray(gray).save(folder / "chest.png", pnginfo=text, exif=exif)
    Image.fromarray(gray).save(folder / "chest.jpg", comment=b"Quxplantname", exif=exif)
    return folder


def _plant(image: pydicom.Dataset) -> None:
    for keyword, value in PLANTED.items():
        setattr(image, keyword, value)
    block = image.private_block(0x0011, "PLANTED", create=True)
    block.add_new(1, "LO", "Quxplantprivate")


def planted_in(folder: Path) -> list[str]:
    """Files below a folder whose name or content, unpacked where it is packed, holds something planted."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if SECRETS.search(path.name.encode()) or (path.is_file() and any(map(SECRETS.search, _contents(path))))
    ]


def _contents(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    if data[:2] == b"PK":
        with zipfile.ZipFile(path) as archive:
            yield from map(archive.read, archive.namelist())
    for found in re.finditer(rb"(?:zTXt|iTXt)[^\0]{1,79}\0\0", data):  # compressed text of a PNG
        try:
            yield zlib.decompressobj().decompress(data[found.end() :], 2**20)
        except zlib.error:
            continue
    for found in re.finditer(rb"base64,([A-Za-z0-9+/=]+)", data):  # pictures inside report.html
        yield base64.b64decode(found[1] + b"=" * (-len(found[1]) % 4))


def test_the_scan_finds_what_is_planted(inputs: Path) -> None:
    found = planted_in(inputs)
    assert {"ct.nii.gz", "ct.zip", "chest.png", "chest.jpg", "dx/p1/study/series/1.dcm"} <= set(found)


def verb(capfd: pytest.CaptureFixture[str], *words: object) -> str:
    assert cli.main([str(word) for word in words]) == 0
    said = capfd.readouterr()
    return said.out + said.err


@pytest.mark.parametrize("name", ["ct", "ct.zip", "ct.nii.gz", "dx/p1/study/series/1.dcm", "chest.png", "chest.jpg"])
def test_rotate(inputs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    said = verb(capfd, "rotate", inputs / name, "--out", tmp_path / "out", "--yaw-deg", "0", "90", "--verbose")
    assert not SECRETS.search(said.encode())
    assert planted_in(tmp_path) == []


def test_reconstruct(inputs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--out", tmp_path / "out", "--size", "32", "--verbose"]
    assert not SECRETS.search(verb(capfd, "reconstruct", inputs / "ct", inputs / "chest.png", *words).encode())
    assert (tmp_path / "out" / "ct" / "volume.nii.gz").is_file()
    assert planted_in(tmp_path) == []


def test_render_and_embed(inputs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scans = [inputs / "ct", inputs / "ct.nii.gz"]
    said = verb(capfd, "render", *scans, "--out", tmp_path / "store", "--yaw-deg", "0", "--workers", "1")
    pictures = [inputs / "chest.png", inputs / "dx/p1/study/series/1.dcm"]
    for out in ("features.npz", "features.csv"):
        said += verb(capfd, "embed", *scans[:1], *pictures, "--out", tmp_path / out)
        said += verb(capfd, "embed", tmp_path / "store", "--out", tmp_path / f"store-{out}")
    assert not SECRETS.search(said.encode())
    assert planted_in(tmp_path) == []


def test_a_cohort_of_dicom_shows_the_patient_id_and_nothing_else(
    inputs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The table is keyed by PatientID, by design (SECURITY.md)."""
    said = verb(capfd, "cohort", inputs, "--kind", "lidc", "--out", tmp_path / "cohort.csv", "--workers", "1")
    table = (tmp_path / "cohort.csv").read_bytes()
    assert b"QuxplantID-4711" in table
    (tmp_path / "cohort.csv").write_bytes(table.replace(b"QuxplantID-4711", b""))
    assert planted_in(tmp_path) == []
    assert not SECRETS.search(said.encode())


def test_refusals_show_nothing(inputs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A lateral view, a slice alone, a file cut short, and values that pydicom warns of."""
    image = pydicom.dcmread(inputs / "dx/p1/study/series/1.dcm")
    image.ViewPosition = "LL"
    image.save_as(tmp_path / "lateral.dcm")
    whole = (inputs / "dx/p1/study/series/1.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:2000])
    (tmp_path / "odd.dcm").write_bytes(whole.replace(b"1.2.6", b"Quxpl"))
    for name in ("lateral.dcm", "cut.dcm", "odd.dcm"):
        cli.main(["embed", str(tmp_path / name), "--out", str(tmp_path / "out" / f"{name}.csv")])
    cli.main(["embed", str(next((inputs / "ct").rglob("*.dcm"))), "--out", str(tmp_path / "out" / "slice.csv")])
    said = capfd.readouterr()
    assert said.err.count("xray2xray: error: ") >= 3
    assert not SECRETS.search((said.out + said.err).encode())
