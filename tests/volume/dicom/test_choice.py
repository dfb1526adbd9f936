"""Of several series the original axial one in HU is read, and what else there was is said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from tests.volume.dicom.conftest import plain_hu
from xray2xray.core.errors import InputError
from xray2xray.volume import read_dicom_series

Stack = Callable[..., list[Path]]
SAGITTAL = [0, 1, 0, 0, 0, -1]
COUNT = 40  # 200 mm: long enough for a chest


def sagittal(folder: Path, scanner: Any, count: int = 40, **tags: object) -> None:
    """Slices of 8 x 40 pixels of 5 mm, 400 mm from side to side."""
    folder.mkdir(parents=True)
    for k in range(count):
        image = scanner.image(
            np.full((60, 8), 100.0), np.array([10.0 * k, 0, 0]), "1.2.9", ImageOrientationPatient=SAGITTAL, **tags
        )
        pydicom.dcmwrite(folder / f"{k}.dcm", image)


OTHERS = [
    {"ImageType": ["DERIVED", "SECONDARY", "MPR", "MIP"]},
    {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MINIP"]},
    {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "AVERAGE"]},
    {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"]},
    {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "VMI"]},
    {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SeriesDescription": "Lung MIP 10/5"},
    {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SeriesDescription": "iodine map"},
    {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "RescaleType": "MGML"},
    {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "RescaleType": "Z_EFF"},
    {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]},
]


@pytest.mark.parametrize("tags", OTHERS)
def test_original_hu_before_all_others(
    tmp_path: Path, stack: Stack, tags: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Although the other series covers more, in thinner slices, and comes first by its UID."""
    stack(tmp_path / "map", 3 * COUNT, series="1.2.1", step_mm=2.5, hu=lambda k: plain_hu(0), **tags)
    stack(tmp_path / "ct", COUNT, series="1.2.3", hu=lambda k: plain_hu(k % 8))
    volume = read_dicom_series(tmp_path)
    assert volume.shape[2] == COUNT
    assert "reading 1.2.3 (40 slices, 200 mm in steps of 5 mm)" in volume.notes[0]
    assert "1.2.1 (120 slices" in volume.notes[0]
    assert volume.notes[0] in caplog.text


def test_sagittal_slabs_do_not_win_by_their_width(tmp_path: Path, stack: Stack, scanner: Any) -> None:
    sagittal(tmp_path / "mpr", scanner, ImageType=["DERIVED", "SECONDARY", "MPR"])
    stack(tmp_path / "ct", COUNT, hu=lambda k: plain_hu(k % 8))
    assert read_dicom_series(tmp_path).shape[2] == COUNT


def test_coverage_from_head_to_feet_before_thin_slices(tmp_path: Path, stack: Stack) -> None:
    stack(tmp_path / "part", 80, series="1.2.1", step_mm=2.0, hu=lambda k: plain_hu(k % 8))
    stack(tmp_path / "whole", COUNT, series="1.2.2", hu=lambda k: plain_hu(k % 8))
    assert read_dicom_series(tmp_path).shape[2] == COUNT
    stack(tmp_path / "thin", 2 * COUNT, series="1.2.3", step_mm=2.4, hu=lambda k: plain_hu(k % 8))
    assert read_dicom_series(tmp_path).shape[2] == 2 * COUNT  # 192 of 200 mm is the same coverage


def test_a_few_originals_are_no_chest(tmp_path: Path, stack: Stack) -> None:
    """Slices that watch the contrast arrive are original; the scan behind them was derived (iterative)."""
    stack(tmp_path / "watch", 3, series="1.2.1")
    stack(
        tmp_path / "ct", COUNT, series="1.2.2", hu=lambda k: plain_hu(k % 8), ImageType=["DERIVED", "PRIMARY", "AXIAL"]
    )
    assert read_dicom_series(tmp_path).shape[2] == COUNT


def test_a_whole_series_before_a_broken_one(tmp_path: Path, stack: Stack) -> None:
    stack(tmp_path / "thin", 2 * COUNT, series="1.2.1", step_mm=2.5, hu=lambda k: plain_hu(k % 8))[9].unlink()
    stack(tmp_path / "thick", COUNT, series="1.2.2", hu=lambda k: plain_hu(k % 8))
    assert read_dicom_series(tmp_path).shape[2] == COUNT


@pytest.mark.parametrize("tags", OTHERS[:2] + OTHERS[3:4] + OTHERS[5:7])
def test_nothing_but_a_projection_is_read_only_by_name(tmp_path: Path, stack: Stack, tags: dict[str, Any]) -> None:
    stack(tmp_path, COUNT, series="1.2.1", hu=lambda k: plain_hu(k % 8), **tags)
    with pytest.raises(InputError, match=r"no CT numbers of a place.*--series 1\.2\.1"):
        read_dicom_series(tmp_path)
    assert "no original CT" in read_dicom_series(tmp_path, series="1.2.1").notes[0]


@pytest.mark.parametrize("tags", OTHERS[7:9])
def test_other_units_are_never_read_as_hu(tmp_path: Path, stack: Stack, tags: dict[str, Any]) -> None:
    stack(tmp_path, COUNT, series="1.2.1", **tags, hu=lambda k: plain_hu(k % 8))
    for series in (None, "1.2.1"):
        with pytest.raises(InputError, match="not HU"):
            read_dicom_series(tmp_path, series)


@pytest.mark.parametrize("tags", [OTHERS[2], OTHERS[4]])
def test_averages_and_keV_images_are_read_and_said(tmp_path: Path, stack: Stack, tags: dict[str, Any]) -> None:
    stack(tmp_path, COUNT, hu=lambda k: plain_hu(k % 8), **tags)
    assert "no original CT: image" in read_dicom_series(tmp_path).notes[0]


def test_a_part_of_a_series_is_chosen_by_name(tmp_path: Path, stack: Stack) -> None:
    for number in (1, 2):
        stack(tmp_path / str(number), COUNT, AcquisitionNumber=number, hu=lambda k, n=number: plain_hu(0) + n)
    assert read_dicom_series(tmp_path, series="1.2.3:2").hu[-1, -1, 0] == 2
    assert read_dicom_series(tmp_path, series="1.2.3").hu[-1, -1, 0] == 1
    with pytest.raises(InputError, match=r"no CT series 1\.2\.3:3; choose one of 1\.2\.3:1 .*1\.2\.3:2"):
        read_dicom_series(tmp_path, series="1.2.3:3")
