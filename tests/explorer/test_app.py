"""A file through the explorer, without a browser: its page, its views, its files, and what is said of bad ones."""

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import DigitalXRayImageStorageForPresentation as Film
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from benchmarks.fuzz.formats import ct_series, dicom_image, frontal
from xray2xray.explorer.app import Explorer

from .conftest import FROM_PAGE, User


@pytest.fixture(scope="module")
def looked(visit: Callable[[], User], film: bytes) -> tuple[User, str]:
    """A user whose radiograph is ready."""
    user = visit()
    number, told = user.waited(film, "Quxplant, Person.png")
    assert told["state"] == "done", told
    return user, number


def dicom(folder: Path, **tags: str) -> bytes:
    image = dicom_image(tags.pop("kind", Film), ExplicitVRLittleEndian, (255 * frontal()).astype(np.uint8), **tags)
    image.PatientName = "Quxplant^Person"
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.7", "1.2.6"
    pydicom.dcmwrite(folder / "x.dcm", image)
    return (folder / "x.dcm").read_bytes()


def test_a_radiograph_becomes_a_page(looked: tuple[User, str], explorer: Explorer) -> None:
    user, number = looked
    told = user.get(f"/api/cases/{number}/result").json()
    assert "Your radiograph" in told["html"]
    assert "real radiograph" in told["html"]
    assert "choose PA or AP under Options" in told["html"]
    for word in ("Quxplant", "--view", str(explorer.folder), "AUROC"):
        assert word not in json.dumps(told)
    assert told["live"] == {"names": ["volumetric", "sample_1", "sample_2", "sample_3"], "side": 128}
    assert told["files"] == ["report.html", "views.zip", "volume.nii.gz", "volume-dicom.zip"]
    assert told["data"]["views"]["samples"] == ["sample_1", "sample_2", "sample_3"]
    assert not list(explorer.folder.iterdir())  # what was given is gone


def test_views_come_from_any_side(looked: tuple[User, str]) -> None:
    user, number = looked

    def view(**asked: object) -> np.ndarray:
        answer = user.get(f"/api/cases/{number}/views", params=asked)
        assert answer.status_code == 200, answer.text
        return np.frombuffer(answer.content, np.uint8).reshape(-1, 128, 128).astype(float)

    pa, oblique, behind = (view(yaw=yaw, names="volumetric")[0] for yaw in (0, 37, 180))
    assert pa.std() > 10
    assert np.abs(pa - oblique).mean() > 2
    assert np.corrcoef(pa.ravel(), behind[:, ::-1].ravel())[0, 1] > 0.9  # mirrored, but for the magnification
    assert np.abs(view(yaw=0, pitch=20, names="volumetric")[0] - pa).mean() > 1
    both = view(yaw=60, names="sample_1,volumetric")
    assert both.shape == (2, 128, 128)
    assert np.abs(both[0] - both[1]).mean() > 0.5


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"yaw": "nan", "names": "volumetric"}, 400),
        ({"yaw": "1e9", "names": "volumetric"}, 400),
        ({"yaw": "0", "pitch": "80", "names": "volumetric"}, 400),
        ({"names": "volumetric"}, 400),
        ({"yaw": "0", "names": "truth"}, 404),
        ({"yaw": "0", "names": ",".join(["volumetric"] * 7)}, 404),
        ({"yaw": "0"}, 404),
    ],
)
def test_what_cannot_be_seen_is_refused(looked: tuple[User, str], asked: dict[str, str], status: int) -> None:
    user, number = looked
    answer = user.get(f"/api/cases/{number}/views", params=asked)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_files_can_be_taken_away(looked: tuple[User, str], tmp_path: Path) -> None:
    user, number = looked
    files = {
        name: user.get(f"/api/cases/{number}/files/{name}") for name in ("report.html", "views.zip", "volume.nii.gz")
    }
    assert all("attachment" in answer.headers["content-disposition"] for answer in files.values())
    (tmp_path / "v.nii").write_bytes(gzip.decompress(files["volume.nii.gz"].content))
    image = nib.load(tmp_path / "v.nii")
    assert image.shape == (128, 128, 128)
    assert "not a CT" in str(image.header["descrip"])
    names = zipfile.ZipFile(io.BytesIO(files["views.zip"].content)).namelist()
    assert len(names) == 4 * 37
    assert "sample_2/yaw-45.png" in names
    assert "Your radiograph" in files["report.html"].text
    assert 'id="data"' in files["report.html"].text
    series = zipfile.ZipFile(io.BytesIO(user.get(f"/api/cases/{number}/files/volume-dicom.zip").content))
    slices = [pydicom.dcmread(io.BytesIO(series.read(name))) for name in series.namelist()[:2]]
    assert {one.SeriesDescription for one in slices} == {"xray2xray prediction, not a CT"}
    assert user.get(f"/api/cases/{number}/files/other").status_code == 404


def test_another_user_sees_nothing_of_it(looked: tuple[User, str], visit: Callable[[], User]) -> None:
    _, number = looked
    other = visit()
    for address in ("", "/result", "/views?yaw=0&names=volumetric", "/files/report.html"):
        assert other.get(f"/api/cases/{number}{address}").status_code == 404
    other.delete(f"/api/cases/{number}", headers=FROM_PAGE)
    assert looked[0].get(f"/api/cases/{number}").json()["state"] == "done"


def test_a_case_can_be_removed(visit: Callable[[], User]) -> None:
    user = visit()
    number, told = user.waited(b"no picture")
    assert told["state"] == "failed"
    assert user.delete(f"/api/cases/{number}", headers=FROM_PAGE).status_code == 204
    assert user.get(f"/api/cases/{number}").status_code == 404


@pytest.mark.slow
def test_a_ct_has_its_truth_beside_it(visit: Callable[[], User], tmp_path: Path) -> None:
    ct_series(tmp_path / "series")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted((tmp_path / "series").iterdir()):
            archive.write(file, file.name)
    user = visit()
    number, told = user.waited(packed.getvalue(), "Quxplant.zip", couch="1")
    assert told["state"] == "done", told
    shown = user.get(f"/api/cases/{number}/result").json()
    assert "Your CT" in shown["html"]
    assert shown["live"]["names"][-1] == "truth"
    assert "truth" in shown["data"]["volume"]["sheets"]
    truth = np.frombuffer(user.get(f"/api/cases/{number}/views?yaw=25&names=truth").content, np.uint8)
    sheet = shown["data"]["views"]["sheets"]["truth"]["uri"]  # the arc in the page, and the server's own view, agree
    tiles = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet.partition(",")[2])))).astype(float)
    row, column = divmod(23, 7)  # 25 degrees
    arc = tiles[128 * row : 128 * row + 128, 128 * column : 128 * column + 128]
    assert np.abs(arc - truth.reshape(128, 128)).max() <= 2


def test_bad_files_are_named_without_what_they_say(visit: Callable[[], User], tmp_path: Path, film: bytes) -> None:
    large, wide = io.BytesIO(), np.zeros((2000, 2000), np.uint8)
    Image.fromarray(wide).save(large, format="PNG")
    user = visit()
    wrong = {
        "damaged": (film[:1200], "Quxplant.png"),
        "not a picture": (b"Quxplant wrote a letter", "Quxplant.txt"),
        "too many": (large.getvalue(), "Quxplant.png"),
        "a lateral view": (dicom(tmp_path, Modality="DX", ViewPosition="LL"), "Quxplant.dcm"),
        "a lateral view by its name": (film, "Quxplant lateral.png"),
        "MR": (dicom(tmp_path, Modality="MR", kind=MRImageStorage), "Quxplant.dcm"),
        "zip": (b"PK\x03\x04 no archive", "Quxplant.zip"),
        "NIfTI": (b"Quxplant" * 100, "Quxplant.nii.gz"),
    }
    said = {}
    for what, (content, name) in wrong.items():
        _, told = user.waited(content, name)
        assert told["state"] == "failed", what
        assert "quxplant" not in told["message"].lower(), told
        assert "/" not in told["message"].replace("n/a", ""), told  # no path
        assert not told["message"][0].islower()
        said[what] = told["message"]
    for what in ("too many", "a lateral view", "a lateral view by its name", "zip", "NIfTI"):
        assert what.lower() in said[what].lower()


def test_a_file_that_is_too_large_is_not_taken(visit: Callable[[], User], explorer: Explorer) -> None:
    user = visit()
    answer = user.give(bytes(2**22 + 1))
    assert answer.status_code == 413
    assert "at most 4 MiB" in answer.json()["message"]

    def parts():  # without a length
        for _ in range(6):
            yield bytes(2**20)

    assert user.give(parts()).status_code == 413  # type: ignore[arg-type]
    assert user.give(b"").status_code == 400
    assert user.give(b"x", view="left").status_code == 400
    assert not list(explorer.folder.iterdir())
