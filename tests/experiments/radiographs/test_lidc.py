"""The benchmark on LIDC's radiographs, run whole on a small tree laid out like the original."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from xray2xray.core.errors import InputError
from xray2xray.data.cohorts import Cohort, Sample, read_cohort, write_table
from xray2xray.experiments.radiographs import lidc as lidc_radiographs
from xray2xray.experiments.radiographs.lidc import CEILING, OURS, find_pairs, main, summary
from xray2xray.phantoms import patient_volume
from xray2xray.projection import preset, render
from xray2xray.radiograph import radiograph
from xray2xray.volume import Volume


def save(path: Path, stored: np.ndarray, patient: str, modality: str, study: str, **tags: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = generate_uid(), ExplicitVRLittleEndian
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID = study, generate_uid(entropy_srcs=[study])
    image.PatientID, image.StudyDate, image.Modality = patient, "20000101", modality
    image.Rows, image.Columns = stored.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    for name, value in tags.items():
        setattr(image, name, value)
    image.PixelData = stored.astype(np.uint16).tobytes()
    pydicom.dcmwrite(path, image, enforce_file_format=True)


def save_ct(folder: Path, volume: Volume, patient: str) -> None:
    """Axial slices whose columns run to the left and rows to the back, LPS."""
    study, spacing = generate_uid(), volume.spacing_mm
    for k in range(volume.shape[2]):
        first = volume.affine @ [volume.shape[0] - 1, volume.shape[1] - 1, k, 1]
        save(
            folder / f"1-{k + 1:03d}.dcm",
            np.rint(volume.hu[::-1, ::-1, k].T.clip(-1024, 3000) + 1024),
            patient,
            "CT",
            study,
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            ImagePositionPatient=[float(mm) for mm in first[:3] * (-1, -1, 1)],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[float(spacing[1]), float(spacing[0])],
            RescaleSlope=1,
            RescaleIntercept=-1024,
        )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients with a CT and radiographs, one of whom says PA and lateral; a third with a damaged radiograph."""
    root = tmp_path_factory.mktemp("cohort") / "LIDC-IDRI"
    for number, seed in enumerate((1_000_003, 1_000_007), 1):
        patient, volume = f"LIDC-IDRI-{number:04d}", patient_volume(seed, 64)
        save_ct(root / patient / "01-01-2000-NA-NA-30178" / "3000566.000000-NA-03192", volume, patient)
        taken = render(volume, replace(preset("chest", 256), sod_mm=1400.0), [0.0, 90.0])
        films = 200 + 3000 * (radiograph(taken) / 255.0) ** 0.8
        folder = root / patient / "01-01-2000-NA-NA-35511" / "3000923.000000-NA-62357"
        study = generate_uid()
        views = ("PA", "LL") if number == 1 else ("", "")
        for image, (film, view) in enumerate(zip(films, views, strict=True), 1):
            save(folder / f"1-{image}.dcm", film, patient, "CR", study, **({"ViewPosition": view} if view else {}))
    third = root / "LIDC-IDRI-0003"
    shutil.copytree(root / "LIDC-IDRI-0001", third)
    for path in third.rglob("*.dcm"):
        image = pydicom.dcmread(path)
        image.PatientID = third.name
        if image.Modality == "CR":
            image.PixelData = bytes(len(image.PixelData))
        image.save_as(path)
    write_table(root.parent / "lidc.csv", read_cohort(root, "lidc"))
    return root.parent


def test_the_whole_benchmark(tree: Path, tmp_path: Path) -> None:
    words = [str(tree / "lidc.csv"), "--out", str(tmp_path), "--unknown-as-frontal"]
    result = main([*words, "--preparation", "quantiles", "lung_field"])
    assert json.loads((tmp_path / "lidc.json").read_text()) == result
    assert [row["patient"] for row in result["patients"]] == ["LIDC-IDRI-0001", "LIDC-IDRI-0002"]
    assert [row["view"] for row in result["patients"]] == ["PA", ""]
    assert "constant grey value" in result["failed"]["LIDC-IDRI-0003"]
    for methods in result["summary"].values():
        assert list(methods) == [OURS, "mean_view", CEILING]
        assert methods[CEILING]["frontal_dice"]["mean"] > 0.9
        assert methods[OURS]["frontal_dice"]["mean"] > 0.7
        assert methods[OURS]["dice"]["mean"] > 0.6
        assert len(methods["mean_view"]["less"]["dice"]["ci95"]) == 2
    text = (tmp_path / "lidc.md").read_text()
    assert "2 patients" in text
    assert "- LIDC-IDRI-0003: " in text
    assert "ridge_pca" in text
    picture = Image.open(tmp_path / "lidc.png")
    assert picture.width > 5 * 192, "with the lateral radiograph of the first"
    assert picture.height > 2 * 192


def test_unknown_views_are_left_out_unless_asked_for(tree: Path) -> None:
    cohort = read_cohort(tree / "lidc.csv", "csv")
    pairs, failed, without = find_pairs(cohort, unknown_as_frontal=False)
    assert [pair.patient for pair in pairs] == ["LIDC-IDRI-0001", "LIDC-IDRI-0003"]
    assert "--unknown-as-frontal" in failed["LIDC-IDRI-0002"]
    assert without == {"CT": 0, "radiograph": 0}
    assert pairs[0].lateral is not None
    assert len(find_pairs(cohort, unknown_as_frontal=True)[0]) == 3


def test_pa_before_ap_and_who_has_no_partner() -> None:
    here = Path()
    cohort = Cohort(
        "csv",
        (
            Sample("a-ct", "a", here, "CT"),
            Sample("a-ap", "a", here, "AP"),
            Sample("a-pa", "a", here, "PA"),
            Sample("b-ct", "b", here, "CT"),
            Sample("c-pa", "c", here, "PA"),
        ),
    )
    pairs, _, without = find_pairs(cohort, unknown_as_frontal=False)
    assert [(pair.ct.study, pair.frontal.study) for pair in pairs] == [("a-ct", "a-pa")]
    assert without == {"CT": 1, "radiograph": 1}
    with pytest.raises(InputError, match="no patient has both"):
        find_pairs(cohort.select(lambda sample: sample.patient != "a"), unknown_as_frontal=False)


def test_differences_are_paired() -> None:
    def of(dice: float) -> dict[str, float]:
        return {**dict.fromkeys(lidc_radiographs.METRICS, 0.0), "dice": dice}

    scores = [{"quantiles": {OURS: of(x + 0.1), "mean_view": of(x)}} for x in (0.2, 0.5, 0.8)]
    found = summary(scores)["quantiles"]
    assert found[OURS]["dice"]["mean"] == pytest.approx(0.6)
    assert found["mean_view"]["less"]["dice"]["mean"] == pytest.approx(0.1)
    assert found["mean_view"]["less"]["dice"]["ci95"] == pytest.approx([0.1, 0.1])
    assert summary(scores[:1])["quantiles"][OURS]["dice"]["ci95"] is None


def test_a_table_without_pairs_ends_in_one_line(tmp_path: Path, refused) -> None:
    table = tmp_path / "lidc.csv"
    (tmp_path / "a.png").touch()
    table.write_text("study,patient,path,view\na,a,a.png,PA\n")
    assert refused(main, [table, "--out", tmp_path / "out"]).startswith("1 error: no patient has both")
    assert not (tmp_path / "out").exists()
