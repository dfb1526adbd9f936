"""Chests in a cache."""

from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.experiments.lifting.cohort import CELLS, FRUSTUM, Chest, Cohort, line_integrals, write
from xray2xray.volume.volume import Volume


def block(shape: tuple[int, int, int], body: tuple[slice, slice, slice], voxel_mm: float = 5.0) -> Volume:
    hu = np.full(shape, -1000.0, np.float32)
    hu[body] = 0
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    return Volume(hu, affine)


WHOLE = block((90, 50, 50), (slice(5, 85), slice(10, 40), slice(5, 45)))
CUT = block((60, 50, 50), (slice(0, 60), slice(10, 40), slice(5, 45)))  # 300 mm wide, the body goes on


def test_line_integrals_reach_beyond_the_detector() -> None:
    p = line_integrals(WHOLE)
    _, columns = FRUSTUM.beyond
    assert p.shape == FRUSTUM.shape[1:]
    assert np.isfinite(p).all()
    assert p[80, columns - 1] == pytest.approx(150 * 0.0206, rel=0.05)  # 400 mm wide, the detector sees 370
    assert p[80, 0] == 0


def test_beyond_a_cut_body_nothing_is_known() -> None:
    p = line_integrals(CUT)
    assert np.isnan(p[80, 0])
    assert np.isfinite(p[FRUSTUM.detector]).all()  # what the view shows is measured, cut or not


def test_a_chest_is_written_once_and_read_mapped(tmp_path: Path) -> None:
    calls = []

    def volume() -> Volume:
        calls.append(1)
        return WHOLE

    for _ in range(2):
        write(tmp_path, Chest("scan-block", volume), with_views=False)
    assert len(calls) == 1
    cohort = Cohort(tmp_path, ["scan"])
    portions, p = cohort[0]
    assert isinstance(portions, np.memmap)
    assert portions.shape == FRUSTUM.at(CELLS).shape
    cells = p.astype(np.float32).reshape(CELLS * 5 // 4, 2, CELLS * 3 // 2, 2).mean(axis=(1, 3))
    inside = cells > 0
    assert np.abs(portions.astype(np.float32).sum(axis=0) - cells)[inside].mean() < 0.05 * cells[inside].mean()
    with pytest.raises(InputError, match="no patients"):
        Cohort(tmp_path, ["virtual"])
