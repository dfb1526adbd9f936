"""Small CT series whose every image can be spoilt before it is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

ROWS, COLUMNS, STEP_MM = 6, 8, 5.0

Change = Callable[[int, Any], Any]


def plain_hu(k: int) -> np.ndarray:
    """(rows, columns) HU of slice k: every pixel and slice is different."""
    return np.add.outer(10.0 * np.arange(ROWS), np.arange(COLUMNS)) + 100 * k


@pytest.fixture
def stack(scanner: Any) -> Callable[..., list[Path]]:
    """stack(folder, count, change=..., start_mm=..., hu=..., name=..., **tags) writes axial slices from low to high."""

    def write(
        folder: Path,
        count: int = 12,
        *,
        change: Change | None = None,
        start_mm: float = 0.0,
        step_mm: float = STEP_MM,
        hu: Callable[[int], np.ndarray] = plain_hu,
        name: str = "i{k:03d}.dcm",
        series: str = "1.2.3",
        **tags: object,
    ) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for k in range(count):
            place = np.array([-100.0, -80.0, start_mm + step_mm * k])
            image = scanner.image(hu(k), place, series, StudyInstanceUID="1.2", RescaleSlope=1, **tags)
            if change is not None:
                change(k, image)
            paths.append(folder / name.format(k=k))
            pydicom.dcmwrite(paths[-1], image, enforce_file_format=False)
        return paths

    return write
