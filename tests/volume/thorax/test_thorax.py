"""The procedural thorax: seeded, the right way round, and changed by each finding as radiology describes it."""

from dataclasses import replace

import numpy as np
import pytest

from xray2xray.volume.thorax import (
    LABELS,
    TISSUES,
    Burden,
    Findings,
    Patient,
    make_volume,
    patient_labels,
    sample_patient,
)
from xray2xray.volume.thorax.shape import profiles, shape

SIZE = 64
TISSUE = {name: i for i, name in enumerate(TISSUES)}


def healthy(seed: int = 3) -> Patient:
    """A patient with no finding, scanned whole: findings are then the only difference."""
    patient = sample_patient(seed)
    linear = tuple(tuple(float(i == j) for j in range(3)) for i in range(3))
    whole = replace(
        patient.scan,
        supine=False,
        blood_hu=45.0,
        field_of_view_mm=400.0,
        above_mm=45.0,
        below_mm=60.0,
        couch=False,
        noise_hu=2.0,
    )
    body = replace(patient.body, heart=1.0, aorta_mm=14.0, affine=linear, warp_mm=1.0)
    return replace(patient, findings=Findings(), burden=Burden(), body=body, scan=whole)


def changed(patient: Patient, group: str, **numbers: object) -> Patient:
    """The patient with other numbers in one of its groups."""
    return replace(patient, **{group: replace(getattr(patient, group), **numbers)})


def build(patient: Patient, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    volume, tissue = make_volume(patient, size)
    return volume.hu, tissue


def centroid(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(axis=0) - (SIZE - 1) / 2


def test_a_seed_is_a_patient() -> None:
    a, b, other = (make_volume(sample_patient(seed), SIZE) for seed in (11, 11, 12))
    assert a[0].hu.tobytes() == b[0].hu.tobytes()
    assert a[1].tobytes() == b[1].tobytes()
    assert np.abs(a[0].hu - other[0].hu).mean() > 50


def test_the_right_way_round() -> None:
    hu, tissue = build(healthy())
    assert centroid(tissue == TISSUE["lung_right"])[0] > 10 > -10 > centroid(tissue == TISSUE["lung_left"])[0]
    assert centroid(tissue == TISSUE["heart"])[0] < -1, "the heart lies to the left"
    spine = centroid((tissue == TISSUE["bone"]) & (np.abs(np.arange(SIZE) - SIZE / 2) < 6)[:, None, None])
    assert spine[1] < centroid(tissue == TISSUE["heart"])[1], "the spine is behind the heart"
    lungs = (tissue == TISSUE["lung_right"]) | (tissue == TISSUE["lung_left"])
    assert centroid(tissue == TISSUE["abdomen"])[2] < centroid(lungs)[2]
    assert -950 < np.median(hu[lungs]) < -750


@pytest.mark.parametrize("seed", range(20, 26))
def test_every_patient_is_a_chest(seed: int) -> None:
    hu, tissue = build(sample_patient(seed))
    voxel_litres = (384 / SIZE) ** 3 / 1e6
    lungs = ((tissue == TISSUE["lung_right"]) | (tissue == TISSUE["lung_left"])).sum() * voxel_litres
    assert 1.0 < lungs < 10.0
    assert hu.min() >= -1000
    assert hu.max() <= 3071
    assert np.isfinite(hu).all()


def test_cardiomegaly_widens_the_heart() -> None:
    sizes = [(build(changed(healthy(), "findings", cardiomegaly=c))[1] == TISSUE["heart"]) for c in (0.0, 0.8)]
    widths = [np.ptp(np.flatnonzero(mask.any(axis=(1, 2)))) for mask in sizes]
    assert widths[1] > 1.1 * widths[0]


@pytest.mark.parametrize(("side", "lung"), [(1, "lung_right"), (-1, "lung_left")])
def test_effusion_fills_the_base_of_its_side(side: int, lung: str) -> None:
    before = build(healthy())[1]
    after = build(replace(healthy(), findings=Findings(pleural_effusion=0.7, effusion_side=side)))[1]
    fluid = after == TISSUE["fluid"]
    assert fluid.sum() > 200
    assert np.sign(centroid(fluid)[0]) == side
    assert centroid(fluid)[2] < centroid(before == TISSUE[lung])[2], "erect: fluid gathers below"


def test_effusion_layers_behind_when_supine() -> None:
    patient = changed(changed(healthy(), "scan", supine=True), "findings", pleural_effusion=0.7)
    tissue = build(patient)[1]
    assert centroid(tissue == TISSUE["fluid"])[1] < centroid(tissue == TISSUE["lung_right"])[1] - 5


def test_edema_is_densest_at_the_hila() -> None:
    plain, tissue = build(healthy())
    wet = build(replace(healthy(), findings=Findings(edema=1.0)))[0]
    lungs = (tissue == TISSUE["lung_right"]) | (tissue == TISSUE["lung_left"])
    gain = np.where(lungs, wet - plain, 0)
    away = np.abs(np.arange(SIZE) - SIZE / 2)[:, None, None] * np.ones_like(gain)
    near, far = lungs & (away < 10), lungs & (away > 18)
    assert gain[near].mean() > gain[far].mean() + 50 > 50


@pytest.mark.parametrize("side", [1, -1])
def test_consolidation_and_atelectasis_stay_on_their_side(side: int) -> None:
    plain, tissue = build(healthy())
    lungs = (tissue == TISSUE["lung_right"]) | (tissue == TISSUE["lung_left"])
    dense = build(replace(healthy(), findings=Findings(consolidation=0.8, consolidation_side=side)))[0]
    filled = lungs & (dense > plain + 300)
    assert filled.sum() > 30
    assert np.sign(centroid(filled)[0]) == side
    collapsed = build(replace(healthy(), findings=Findings(atelectasis=0.9, atelectasis_side=side)))[1]
    names = {1: "lung_right", -1: "lung_left"}
    lost = {s: (tissue == TISSUE[n]).sum() - (collapsed == TISSUE[n]).sum() for s, n in names.items()}
    assert lost[side] > lost[-side], "the collapsed side loses volume"


def test_aortic_burden_calcifies() -> None:
    vessels = [build(changed(healthy(), "burden", aortic=c), 96) for c in (0.0, 4000.0)]
    plaques = [((hu > 200) & (tissue == TISSUE["vessel"])).sum() for hu, tissue in vessels]
    assert plaques[0] == 0
    assert plaques[1] > 10


def test_labels_follow_findings_without_building() -> None:
    labels = [patient_labels(seed) for seed in range(300)]
    assert list(labels[0]) == [*LABELS, "event", "time_years"]
    for name in LABELS:
        assert 0.1 < np.mean([row[name] for row in labels]) < 0.5


def test_the_scanner_cuts() -> None:
    patient = changed(healthy(), "scan", field_of_view_mm=150.0, above_mm=-15.0, below_mm=-40.0)
    hu = build(patient)[0]
    s = shape(patient, profiles(patient))
    mm = (np.arange(SIZE) - (SIZE - 1) / 2) * 384 / SIZE
    radius = np.hypot(mm[:, None] - patient.scan.field_shift_mm[0], mm[None, :] - patient.scan.field_shift_mm[1])
    assert (hu[radius > 156] == -1000).all()
    assert (hu[:, :, mm > s.apex - 15] == -1000).all()
    assert (hu[:, :, mm < s.base + 40] == -1000).all()
