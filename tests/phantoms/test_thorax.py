"""The procedural thorax: seeded, the right way round, and changed by each finding as radiology describes it."""

import numpy as np
import pytest

from xray2xray.phantoms import LABELS, TISSUES, make_volume, patient_labels, sample_patient
from xray2xray.phantoms.shape import profiles, shape

SIZE = 64
TISSUE = {name: i for i, name in enumerate(TISSUES)}


def centroid(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(axis=0) - (SIZE - 1) / 2


def test_a_seed_is_a_patient() -> None:
    a, b, other = (make_volume(sample_patient(seed), SIZE) for seed in (11, 11, 12))
    assert a[0].hu.tobytes() == b[0].hu.tobytes()
    assert a[1].tobytes() == b[1].tobytes()
    assert np.abs(a[0].hu - other[0].hu).mean() > 50


def test_the_right_way_round(healthy, build) -> None:
    volume, tissue, _ = build(healthy())
    hu = volume.hu
    assert centroid(tissue == TISSUE["lung_right"])[0] > 10 > -10 > centroid(tissue == TISSUE["lung_left"])[0]
    assert centroid(tissue == TISSUE["heart"])[0] < -1, "the heart lies to the left"
    spine = centroid((tissue == TISSUE["bone"]) & (np.abs(np.arange(SIZE) - SIZE / 2) < 6)[:, None, None])
    assert spine[1] < centroid(tissue == TISSUE["heart"])[1], "the spine is behind the heart"
    lungs = (tissue == TISSUE["lung_right"]) | (tissue == TISSUE["lung_left"])
    assert centroid(tissue == TISSUE["abdomen"])[2] < centroid(lungs)[2]
    assert -950 < np.median(hu[lungs]) < -750


@pytest.mark.parametrize("seed", range(20, 26))
def test_every_patient_is_a_chest(seed: int, build) -> None:
    volume, tissue, _ = build(sample_patient(seed))
    hu = volume.hu
    voxel_litres = (384 / SIZE) ** 3 / 1e6
    lungs = ((tissue == TISSUE["lung_right"]) | (tissue == TISSUE["lung_left"])).sum() * voxel_litres
    assert 1.0 < lungs < 12.0
    assert hu.min() >= -1000
    assert hu.max() <= 3071
    assert np.isfinite(hu).all()


def test_aortic_burden_calcifies(healthy, changed, build) -> None:
    vessels = [build(changed(healthy(), "burden", aortic=c), 96) for c in (0.0, 4000.0)]
    plaques = [((one.volume.hu > 200) & (one.tissue == TISSUE["vessel"])).sum() for one in vessels]
    assert plaques[0] == 0
    assert plaques[1] > 10


def test_labels_follow_findings_without_building() -> None:
    labels = [patient_labels(seed) for seed in range(300)]
    assert list(labels[0]) == [*LABELS, "event", "time_years"]
    for name in LABELS:
        assert 0.1 < np.mean([row[name] for row in labels]) < 0.5


def test_the_scanner_cuts(healthy, changed, build) -> None:
    patient = changed(healthy(), "scan", field_of_view_mm=150.0, above_mm=-15.0, below_mm=-40.0)
    hu = build(patient).volume.hu
    s = shape(patient, profiles(patient))
    mm = (np.arange(SIZE) - (SIZE - 1) / 2) * 384 / SIZE
    radius = np.hypot(mm[:, None] - patient.scan.field_shift_mm[0], mm[None, :] - patient.scan.field_shift_mm[1])
    assert (hu[radius > 156] == -1000).all()
    assert (hu[:, :, mm > s.apex - 15] == -1000).all()
    assert (hu[:, :, mm < s.base + 40] == -1000).all()
