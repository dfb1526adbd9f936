"""A cohort of DICOM files is what the headers say, however the files lie: no study is lost, none gets another's name.

Sources of the layouts: owkin/FLamby#63, ImagingDataCommons/idc-index#115 and #79, kirbyju/tcia_utils#33 (series side by
side), notmatthancock/pylidc#43 (AppleDouble); the rest are variants of the kind.
"""

import os
import shutil
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import SegmentationStorage

from xray2xray.core.errors import InputError
from xray2xray.data.cohorts import Cohort, fingerprint, read_cohort, write_table
from xray2xray.data.inputs import list_inputs
from xray2xray.projection import preset
from xray2xray.session.study import open_input

from .conftest import save_dicom

GRID = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [4, 4], "RescaleSlope": 8}
APPLE_DOUBLE = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(139)


def save_series(
    folder: Path, patient: str, study: str, series: str, n: int = 3, name: str = "{k}.dcm", **tags: object
) -> None:
    modality = str(tags.pop("Modality", "CT"))
    for k in range(n):
        said = {**GRID, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ImagePositionPatient": [0, 0, 5.0 * k], **tags}
        said |= {"StudyInstanceUID": study, "SeriesInstanceUID": series, "InstanceNumber": k + 1}
        save_dicom(folder / name.format(k=k, series=series), patient, "19990102", modality, k, **said)


def headers_below(root: Path) -> list[pydicom.Dataset]:
    found = []
    for place, _, names in os.walk(root):
        for name in names:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    header = pydicom.dcmread(Path(place, name), stop_before_pixels=True, force=True)
            except Exception:
                continue
            found += [header] if "StudyInstanceUID" in header else []
    return found


def read(root: Path, kind: str = "lidc") -> Cohort:
    """The cohort; every study in the headers is a sample or was named as left out."""
    cohort = read_cohort(root, kind)  # type: ignore[arg-type]
    studies = {(str(header.get("PatientID")), str(header.StudyInstanceUID)) for header in headers_below(root)}
    assert len(cohort.samples) + len(cohort.failed) >= len(studies)
    return cohort


def patients(cohort: Cohort) -> list[str]:
    return [sample.patient for sample in cohort.samples]


def uids(sample_path: Path, series: str) -> set[tuple[str, str]]:
    """Patient and series of the CT images that a reader finds at a sample's path."""
    found = {(str(h.PatientID), str(h.SeriesInstanceUID)) for h in headers_below(sample_path) if h.Modality == "CT"}
    return {one for one in found if not series or one[1] == series}


def own_images_only(cohort: Cohort) -> None:
    """What lies at the path of a sample, in its series, is the sample's own."""
    for sample in cohort.samples:
        there = uids(sample.path, sample.series)
        assert there, sample
        assert {patient for patient, _ in there} == {sample.patient}


def test_series_side_by_side(tmp_path: Path) -> None:
    for i in (1, 2, 3):
        save_series(tmp_path / f"1.3.6.{i}", f"P{i}", f"1.2.{i}", f"1.3.6.{i}")
    cohort = read(tmp_path)
    assert sorted(patients(cohort)) == ["P1", "P2", "P3"]
    assert {sample.series for sample in cohort.samples} == {""}
    own_images_only(cohort)


def test_several_series_of_a_study_beside_those_of_others(tmp_path: Path) -> None:
    """Of each study the one that the CT reader would take: original axial, then coverage, then thin slices."""
    for i in (1, 2):
        save_series(tmp_path / f"{i}-thick", f"P{i}", f"1.2.{i}", f"1.3.{i}.1", n=4, SliceThickness=5)
        for k in range(8):
            thin = {**GRID, "ImagePositionPatient": [0, 0, 2.5 * k], "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}
            thin |= {"StudyInstanceUID": f"1.2.{i}", "SeriesInstanceUID": f"1.3.{i}.2"}
            save_dicom(tmp_path / f"{i}-thin" / f"{k}.dcm", f"P{i}", "19990102", "CT", k, **thin)
        save_series(
            tmp_path / f"{i}-mip", f"P{i}", f"1.2.{i}", f"1.3.{i}.3", n=9, ImageType=["DERIVED", "SECONDARY", "MIP"]
        )
        save_series(
            tmp_path / f"{i}-scout", f"P{i}", f"1.2.{i}", f"1.3.{i}.4", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
        )
    cohort = read(tmp_path)
    assert sorted(sample.path.name for sample in cohort.samples) == ["1-thin", "2-thin"]
    own_images_only(cohort)


def test_one_folder_for_everything(tmp_path: Path) -> None:
    """The series tells the studies apart, in the table and in the fingerprint, too."""
    for i in (1, 2, 3):
        save_series(tmp_path / "all", f"P{i}", f"1.2.{i}", f"1.3.6.{i}", name="{series}-{k}.dcm")
    cohort = read(tmp_path)
    assert [sample.series for sample in cohort.samples] == ["1.3.6.1", "1.3.6.2", "1.3.6.3"]
    assert {sample.path for sample in cohort.samples} == {tmp_path / "all"}
    own_images_only(cohort)
    write_table(tmp_path / "out" / "t.csv", cohort)
    again = read_cohort(tmp_path / "out" / "t.csv", "csv")
    assert [sample.series for sample in again.samples] == ["1.3.6.1", "1.3.6.2", "1.3.6.3"]
    prints = [one for sample in again.samples if not isinstance(one := fingerprint(sample), str)]
    assert len({one.sha256 for one in prints}) == 3


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_series(tmp_path / "a", "P1", "1.2.1", "1.3.1")
    save_series(tmp_path, "P2", "1.2.2", "1.3.2")
    monkeypatch.chdir(tmp_path)
    for root in (Path("."), Path("../") / tmp_path.name):
        cohort = read_cohort(root, "lidc")
        assert sorted((s.patient, s.path.resolve(), s.series) for s in cohort.samples) == [
            ("P1", tmp_path / "a", ""),
            ("P2", tmp_path, "1.3.2"),
        ]


def test_a_study_in_two_batches(tmp_path: Path) -> None:
    """Half of the slices in either; another patient in the second. The folder of both, and the series."""
    save_series(tmp_path / "batch1", "P1", "1.2.1", "1.3.1", n=2)
    save_series(tmp_path / "batch2" / "a", "P1", "1.2.1", "1.3.1", n=2, name="{k}-more.dcm")
    save_series(tmp_path / "batch2" / "b", "P2", "1.2.2", "1.3.2")
    cohort = read(tmp_path)
    assert {s.patient: (s.path, s.series) for s in cohort.samples} == {
        "P1": (tmp_path, "1.3.1"),
        "P2": (tmp_path / "batch2" / "b", ""),
    }


def test_a_series_downloaded_twice(tmp_path: Path) -> None:
    save_series(tmp_path / "a" / "P1", "P1", "1.2.1", "1.3.1")
    save_series(tmp_path / "a" / "P2", "P2", "1.2.2", "1.3.2")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    cohort = read(tmp_path)
    assert [(s.patient, s.path, s.series) for s in cohort.samples] == [
        ("P1", tmp_path / "a" / "P1", ""),
        ("P2", tmp_path / "a" / "P2", ""),
    ]


def test_names_that_say_nothing(tmp_path: Path) -> None:
    """Without an ending, in capitals, without the preamble; a DICOMDIR and an AppleDouble file beside."""
    save_series(tmp_path / "bare", "P1", "1.2.1", "1.3.1", name="IM00{k}")
    save_series(tmp_path / "capitals", "P2", "1.2.2", "1.3.2", name="1-{k}.DCM")
    save_series(tmp_path / "stripped", "P3", "1.2.3", "1.3.3", name="{k}")
    for path in (tmp_path / "stripped").iterdir():
        data = path.read_bytes()
        meta = pydicom.dcmread(path).file_meta.FileMetaInformationGroupLength
        path.write_bytes(data[144 + meta :])  # preamble, DICM and the file meta information
    for path in list((tmp_path / "capitals").iterdir()):
        (path.parent / f"._{path.name}").write_bytes(APPLE_DOUBLE)
    save_dicom(tmp_path / "DICOMDIR", "", "", "")
    directory = pydicom.dcmread(tmp_path / "DICOMDIR")
    directory.SOPClassUID = directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.save_as(tmp_path / "DICOMDIR")
    (tmp_path / "metadata.csv").write_text("Series UID,Subject ID\n")
    cohort = read_cohort(tmp_path, "lidc")
    assert sorted(patients(cohort)) == ["P1", "P2", "P3"]
    assert cohort.failed == {}


def test_linked_folders(tmp_path: Path) -> None:
    """A study on another disk is found, a loop ends, a folder linked twice counts once."""
    root, disk = tmp_path / "root", tmp_path / "disk"
    save_series(disk / "P1", "P1", "1.2.1", "1.3.1")
    save_series(root / "P2", "P2", "1.2.2", "1.3.2")
    (root / "far").symlink_to(disk, target_is_directory=True)
    (root / "again").symlink_to(disk, target_is_directory=True)
    (root / "P2" / "loop").symlink_to(root, target_is_directory=True)
    cohort = read_cohort(root, "lidc")
    assert sorted(patients(cohort)) == ["P1", "P2"]
    assert cohort.failed == {}


def test_hidden_folders_hold_no_second_copy(tmp_path: Path) -> None:
    """git-annex keeps the content below .git and links to it; a link whose content was not fetched is said."""
    annex = tmp_path / ".git" / "annex" / "objects"
    save_series(annex, "P1", "1.2.1", "1.3.1")
    (tmp_path / "P1").mkdir()
    for path in annex.iterdir():
        (tmp_path / "P1" / path.name).symlink_to(path)
    (tmp_path / "P2").mkdir()
    (tmp_path / "P2" / "1.dcm").symlink_to(annex / "not-here.dcm")
    cohort = read_cohort(tmp_path, "lidc")
    assert [sample.path.name for sample in cohort.samples] == ["P1"]
    assert cohort.failed == {str(tmp_path / "P2" / "1.dcm"): "a link to a file that is not here; fetch the file"}


def test_one_uid_for_all(tmp_path: Path) -> None:
    """Anonymisers give all studies one UID: the patient tells them apart, but not in one folder by one series UID."""
    for i in (1, 2):
        save_series(tmp_path / f"P{i}", f"P{i}", "1.2.3", f"1.3.{i}")
    cohort = read(tmp_path)
    assert sorted(patients(cohort)) == ["P1", "P2"]
    own_images_only(cohort)
    for i in (3, 4):
        save_series(tmp_path / "mixed", f"P{i}", f"1.2.{i}", "1.3.9", name=f"{i}-{{k}}.dcm")
    cohort = read(tmp_path)
    assert sorted(patients(cohort)) == ["P1", "P2"]
    assert len(cohort.failed) == 2
    assert all("another CT of the same SeriesInstanceUID '1.3.9'" in said for said in cohort.failed.values())


def test_one_study_uid_for_two_patients_in_one_folder(tmp_path: Path) -> None:
    for i in (1, 2):
        save_series(tmp_path / "s", f"P{i}", "1.2.3", f"1.3.{i}", name=f"{i}-{{k}}.dcm")
    cohort = read(tmp_path)
    assert sorted((s.patient, s.series) for s in cohort.samples) == [("P1", "1.3.1"), ("P2", "1.3.2")]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (
            {"Modality": "SEG", "SOPClassUID": SegmentationStorage},
            "study 1.2.9 holds SEG only, no CT and no radiograph",
        ),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "study 1.2.9: localizers only, no CT images"),
        ({"PatientID": " "}, "no PatientID in the header; export it again with these tags (3 such files)"),
        ({"Modality": ""}, "no Modality in the header; export it again with these tags (3 such files)"),
    ],
)
def test_a_study_that_cannot_be_used_is_named(tags: dict[str, object], said: str, tmp_path: Path) -> None:
    save_series(tmp_path / "good", "P1", "1.2.1", "1.3.1")
    save_series(tmp_path / "bad", "P9", "1.2.9", "1.3.9", **{"Modality": "CT", **tags})
    cohort = read(tmp_path)
    assert patients(cohort) == ["P1"]
    assert cohort.failed == {str(tmp_path / "bad" / "0.dcm"): said}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    save_series(tmp_path / "good", "P1", "1.2.1", "1.3.1")
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / "good" / name).write_bytes(b"not DICOM at all")
    (tmp_path / "rest.zip").write_bytes(b"PK\x03\x04")
    (tmp_path / "numbers.bin").write_bytes(b"\x08\x00\x10\x00" + bytes(500))  # begins as a bare header would
    (tmp_path / "LICENSE").write_text("CC BY 3.0")
    assert read_cohort(tmp_path, "lidc").failed == {
        str(tmp_path / "good" / "a.dcm"): "no DICOM file, though it is called one; copy it again (2 such files)",
        str(tmp_path / "rest.zip"): "an archive; unpack it first",
    }


def test_radiographs_copied_and_alike(tmp_path: Path) -> None:
    """A copy counts once; another picture under the same UID is another picture."""
    dx = {"Modality": "DX", "ViewPosition": "PA", "SOPInstanceUID": "1.9"}
    save_series(tmp_path / "a", "P1", "1.2.1", "1.3.1", n=2, **dx)
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / "0.dcm", tmp_path / "b" / "0.dcm")
    cohort = read(tmp_path)
    assert [sample.path.name for sample in cohort.samples] == ["0.dcm", "1.dcm"]
    assert cohort.failed == {str(tmp_path / "b" / "0.dcm"): f"a copy of {tmp_path / 'a' / '0.dcm'}"}


def test_ct_and_radiograph_of_one_study_in_one_folder(tmp_path: Path) -> None:
    save_series(tmp_path, "P1", "1.2.1", "1.3.1")
    save_series(tmp_path, "P1", "1.2.1", "1.3.2", n=1, name="dx.dcm", Modality="DX", ViewPosition="LL")
    cohort = read(tmp_path)
    assert [(s.study, s.view) for s in cohort.samples] == [("P1-CT", "CT"), ("P1-DX", "lateral")]


def test_nlst(nlst: Path, tmp_path: Path) -> None:
    """All files of all participants in one folder, ids of the tables as floats, a radiograph among them."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for i, path in enumerate(sorted(nlst.rglob("*.dcm"))):
        shutil.copy(path, flat / f"{i:04d}")
    save_series(flat, "100012", "1.2.77", "1.3.77", n=1, name="dx", Modality="DX")
    for table in nlst.glob("*.csv"):
        text = table.read_text().replace("100012,", "100012.0,").replace("100147,", "100147.0,")
        (flat / table.name).write_text(text)
        (flat / f"._{table.name}").write_bytes(APPLE_DOUBLE)
    ours, theirs = read(flat, "nlst"), read_cohort(nlst, "nlst")
    assert sorted(s.study for s in ours.samples) == sorted(s.study for s in theirs.samples)
    cvd = {s.study: s.labels["cvd"] for s in theirs.samples}
    assert {s.study: s.labels["cvd"] for s in ours.samples} == cvd
    assert all(s.series for s in ours.samples)
    assert "a radiograph (DX); NLST has CTs only" in ours.failed.values()


def test_participants_said_twice(nlst: Path) -> None:
    table = nlst / "participant_d040722.csv"
    text = table.read_text()
    line = next(line for line in text.splitlines() if line.startswith("100012"))
    table.write_text(text + line + "\n")
    assert len(read(nlst, "nlst").samples) == 4, "the same row twice is one"
    table.write_text(text + line.replace("2500", "2600") + "\n")
    with pytest.raises(InputError, match="lines 2 and 6 say different things of pid '100012'; take one out"):
        read_cohort(nlst, "nlst")


def test_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xray2xray.data.cohorts import headers

    for i in (1, 2):
        save_series(tmp_path, f"P{i}", f"1.2.{i}", f"1.3.{i}", name=f"{i}-{{k}}.dcm")
    alone = read_cohort(tmp_path, "lidc")
    monkeypatch.setattr(headers, "_CHUNK", 3)
    assert read_cohort(tmp_path, "lidc", workers=2).samples == alone.samples


def test_the_reader_takes_the_series_of_the_table(tmp_path: Path) -> None:
    """Two scans in one folder, each read as its own patient's."""
    for i in (1, 2):
        for k in range(20):
            place = {"ImagePositionPatient": [0, 0, 8.0 * k], "StudyInstanceUID": f"1.2.{i}"}
            tags = {**GRID, **place, "SeriesInstanceUID": f"1.3.{i}", "RescaleIntercept": -1024 + 10 * i}
            save_dicom(tmp_path / "all" / f"{k}-{i}.dcm", f"P{i}", "20000101", "CT", 0, **tags)
    write_table(tmp_path / "t.csv", read(tmp_path / "all"))
    for item, low in zip(list_inputs([tmp_path / "t.csv"]), (-1014, -1004), strict=True):
        study = open_input(item, preset("chest", 32))
        assert study.volume is not None
        assert study.volume.hu.min() == low
