"""Each finding against the same patient without it, in the voxels and in the frontal view, as radiology describes it.

Columns of a frontal grow from the patient's right to the left, rows from superior to inferior.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from xray2xray.phantoms import PATHOLOGIES, TISSUES, Findings, make_patient, sample_patient
from xray2xray.phantoms.build import EXTENT_MM
from xray2xray.phantoms.findings import sample_findings
from xray2xray.phantoms.lobes import LOBES, Fissures, lobes

SIZE = 64
TISSUE = {name: i for i, name in enumerate(TISSUES)}
BIT = {name: 1 << i for i, name in enumerate(PATHOLOGIES)}


@pytest.fixture(scope="module")
def ill(healthy, build) -> Callable:
    """The healthy patient with findings, standing or lying, built; the last ones are kept."""
    kept: dict = {}

    def make(supine: bool = False, seed: int = 3, **findings: object):
        key = (supine, seed, *sorted(findings.items()))
        if key not in kept:
            patient = healthy(seed)
            scan = replace(patient.scan, supine=supine)
            kept[key] = build(replace(patient, scan=scan, findings=Findings(**findings)))
        return kept[key]

    return make


@pytest.fixture(scope="module")
def gain(ill, frontal) -> Callable:
    """(64, 64) what findings add to the frontal of the healthy patient."""

    def difference(supine: bool = False, seed: int = 3, **findings: object) -> np.ndarray:
        return frontal(ill(supine, seed, **findings)) - frontal(ill(supine, seed))

    return difference


def lungs(built) -> np.ndarray:
    return (built.tissue == TISSUE["lung_right"]) | (built.tissue == TISSUE["lung_left"])


def extent(built, name: str) -> np.ndarray:
    return (built.findings & BIT[name]) > 0


def mm(mask: np.ndarray) -> np.ndarray:
    """Centre of a mask or of weights over pixels or voxels, in mm from the middle."""
    weights = np.maximum(mask.astype(float), 0)
    grid = (np.arange(SIZE) - (SIZE - 1) / 2) * EXTENT_MM / SIZE
    axes = range(weights.ndim)
    return np.array([(weights.sum(axis=tuple(b for b in axes if b != a)) @ grid) / weights.sum() for a in axes])


def halves(difference: np.ndarray) -> tuple[float, float]:
    """What is added on the patient's right and left."""
    return float(difference[:, : SIZE // 2].sum()), float(difference[:, SIZE // 2 :].sum())


def lowest(mask: np.ndarray, side: int) -> int:
    """Height (voxels) of the top of the belly's dome on a side, in the middle of the lung."""
    column = slice(38, 50) if side > 0 else slice(14, 26)
    return int(np.flatnonzero(mask[column].any(axis=(0, 1)))[-1])


# --- effusion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "side"), [("effusion_right", 1), ("effusion_left", -1)])
def test_effusion_erect_is_a_dense_base_that_rises(gain, name: str, side: int) -> None:
    added = [gain(**{name: severity}) for severity in (0.3, 0.5, 0.7)]
    for one in added:
        right, left = halves(one)
        own, other = (right, left) if side > 0 else (left, right)
        assert own > 4 * abs(other)
        assert one[SIZE // 2 + 4 :].sum() > 0.65 * one.sum(), "it gathers at the base"
    amounts, heights = [one.sum() for one in added], [-mm(one)[0] for one in added]
    assert amounts == sorted(amounts)
    assert heights == sorted(heights)


def test_a_small_effusion_blunts_the_costophrenic_angle(ill, gain) -> None:
    added = gain(effusion_right=0.12)
    weights = np.where(added > 0.15 * added.max(), added, 0)
    lung = (ill().tissue == TISSUE["lung_right"]).any(axis=1)  # over x and z
    assert -mm(weights)[0] < mm(lung)[1] - 40, "below the middle of the lung"
    assert -mm(weights)[1] > mm(lung)[0], "lateral to it"
    volume_ml = extent(ill(effusion_right=0.12), "pleural_effusion").sum() * (EXTENT_MM / SIZE) ** 3 / 1000
    assert 80 < volume_ml < 350


def test_effusion_lying_is_a_veil_over_the_side(ill, gain) -> None:
    erect, lying = gain(effusion_left=0.6), gain(supine=True, effusion_left=0.6)
    assert halves(lying)[1] > 7 * abs(halves(lying)[0])
    spread = [np.count_nonzero(one > 0.25 * one.max()) for one in (erect, lying)]
    assert spread[1] > 1.15 * spread[0]
    assert -mm(lying)[0] > -mm(erect)[0] + 20, "not only at the base"
    built = ill(supine=True, effusion_left=0.6)
    fluid = extent(built, "pleural_effusion")
    assert mm(fluid)[1] < mm(built.tissue == TISSUE["lung_left"])[1] - 20, "it layers behind"


def test_the_meniscus_is_highest_at_the_flank(ill) -> None:
    fluid = extent(ill(effusion_right=0.6), "pleural_effusion")
    tops = {x: fluid[x].any(axis=0).nonzero()[0].max() for x in np.flatnonzero(fluid.any(axis=(1, 2)))}
    columns = sorted(tops)
    flank, middle = columns[-len(columns) // 5 :], columns[len(columns) // 3 : 2 * len(columns) // 3]
    assert max(tops[x] for x in flank) >= np.mean([tops[x] for x in middle]) + 1


def test_both_sides_at_once(gain) -> None:
    right, left = halves(gain(effusion_right=0.6, effusion_left=0.3))
    assert right > left > 0


# --- atelectasis -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lobe", "side"), [("right_lower", 1), ("left_lower", -1)])
def test_atelectasis_pulls_heart_and_diaphragm(ill, gain, lobe: str, side: int) -> None:
    plain, built = ill(), ill(atelectasis=0.9, atelectasis_lobe=lobe)
    heart = [mm(one.tissue == TISSUE["heart"])[0] for one in (plain, built)]
    assert side * (heart[1] - heart[0]) > 5
    domes = [lowest(one.tissue == TISSUE["abdomen"], side) for one in (plain, built)]
    assert domes[1] >= domes[0] + 3
    names = {1: "lung_right", -1: "lung_left"}
    lost = {s: (plain.tissue == TISSUE[n]).sum() - (built.tissue == TISSUE[n]).sum() for s, n in names.items()}
    assert lost[side] > max(lost[-side], 0)
    right, left = halves(gain(atelectasis=0.9, atelectasis_lobe=lobe))
    assert side * (right - left) > 0
    collapsed = extent(built, "atelectasis")
    assert collapsed.sum() > 30
    assert side * mm(collapsed)[0] > 10


def test_a_collapsing_lobe_takes_its_fissure_along() -> None:
    fissures = Fissures(0.0, -80.0, 46.0, 40.0, -80.0, 10.0, 0.05, 1, 0.0)
    rng = np.random.default_rng(0)
    points = rng.uniform((-110, -80, -80), (110, 60, 120), (20000, 3)).T.astype(np.float32)
    side = np.sign(points[0]).astype(np.int8)
    before = lobes(points, side, fissures)
    for lobe, name in enumerate(LOBES, start=1):
        after = lobes(points, side, fissures._replace(shrunken=lobe, collapse=0.9))
        assert 0 < (after == lobe).sum() < 0.75 * (before == lobe).sum(), name
        assert set(before[(before != after)]) == {lobe}, "only its neighbours grow"
        assert (np.sign(points[0, before != after]) == (1 if lobe <= 3 else -1)).all()


def test_mild_atelectasis_is_a_few_plates(ill) -> None:
    plain, built = ill(), ill(atelectasis=0.2, atelectasis_lobe="right_lower")
    plates = extent(built, "atelectasis")
    assert 3 < plates.sum() < 0.03 * lungs(plain).sum()
    assert mm(plates)[2] < mm(plain.tissue == TISSUE["lung_right"])[2]


# --- the rest --------------------------------------------------------------------------------------------------------


def test_cardiomegaly_widens_the_silhouette(ill, gain) -> None:
    widths = []
    for severity in (0.0, 0.4, 0.9):
        heart = (ill(cardiomegaly=severity).tissue == TISSUE["heart"]).any(axis=(1, 2))
        widths.append(np.count_nonzero(heart) * EXTENT_MM / SIZE)
    assert widths[0] < widths[1] < widths[2]
    assert widths[2] > 1.15 * widths[0]
    added = gain(cardiomegaly=0.9)
    lower = added[SIZE // 2 - 4 : SIZE // 2 + 20]
    assert lower.sum() > 0.7 * added.sum() > 0
    built = ill(cardiomegaly=0.9)
    heart, mask = built.tissue == TISSUE["heart"], extent(built, "cardiomegaly")
    assert mask[heart].all()
    assert heart[mask].mean() > 0.8, "the rest are the vessels in it"


def test_consolidation_of_the_right_upper_lobe_ends_at_the_fissure(ill, gain) -> None:
    built = ill(consolidation=1.0, consolidation_lobe="right_upper")
    added = gain(consolidation=1.0, consolidation_lobe="right_upper")
    right, left = halves(added)
    assert right > 20 * abs(left)
    rows = added[:, : SIZE // 2].sum(axis=1)
    fissure = int(np.flatnonzero(rows > 0.3 * rows.max())[-1])
    assert rows[fissure + 4 :].sum() < 0.1 * rows.sum(), "sharp below"
    assert mm(extent(built, "consolidation"))[2] > mm(built.tissue == TISSUE["lung_right"])[2] + 20


@pytest.mark.parametrize("pattern", ["lobar", "patchy", "hidden"])
@pytest.mark.parametrize("lobe", ["left_lower", "right_lower"])
def test_consolidation_grows_with_severity_and_stays_in_its_lobe(ill, gain, pattern: str, lobe: str) -> None:
    side = 1 if lobe.startswith("right") else -1
    sizes, sums = [], []
    for severity in (0.2, 0.5, 0.9):
        finding = {"consolidation": severity, "consolidation_lobe": lobe, "consolidation_pattern": pattern}
        filled = extent(ill(**finding), "consolidation")
        sizes.append(filled.sum())
        sums.append(gain(**finding).sum())
        assert (side * (np.argwhere(filled)[:, 0] - (SIZE - 1) / 2) > -2).all()
    assert 10 < sizes[0] < sizes[1] < sizes[2]
    assert 0 < sums[0] < sums[1] < sums[2]


def test_a_hidden_consolidation_is_behind_heart_or_dome(ill) -> None:
    built = ill(consolidation=0.6, consolidation_lobe="left_lower", consolidation_pattern="hidden")
    covered = np.isin(built.tissue, (TISSUE["heart"], TISSUE["abdomen"])).any(axis=1)
    filled = extent(built, "consolidation").any(axis=1)
    assert (filled & covered).sum() > 0.9 * filled.sum() > 0


def test_bronchi_stay_open_in_a_filled_lobe(healthy, build) -> None:
    findings = Findings(consolidation=1.0, consolidation_lobe="left_lower")
    built = build(replace(healthy(), findings=findings), 96)
    filled = extent(built, "consolidation")
    open_share = (built.volume.hu[filled] < -400).mean()
    assert 0.002 < open_share < 0.1
    assert np.median(built.volume.hu[filled]) > 0


def test_edema_is_bilateral_and_densest_at_the_hila(ill, gain) -> None:
    added = [gain(edema=severity) for severity in (0.25, 0.6, 1.0)]
    assert added[0].sum() < added[1].sum() < added[2].sum()
    right, left = halves(added[2])
    assert 0.5 < right / left < 2
    columns = np.abs(np.arange(SIZE) - (SIZE - 1) / 2)
    hilar, flank = (columns > 6) & (columns < 14), (columns > 19) & (columns < 24)
    middle = added[2][SIZE // 2 - 12 : SIZE // 2 + 12]
    assert middle[:, hilar].mean() > 2 * middle[:, flank].mean() > 0
    plain, wet = ill(), ill(edema=1.0)
    rise = np.where(lungs(plain) & lungs(wet), wet.volume.hu - plain.volume.hu, 0)
    x = np.abs(np.arange(SIZE) - (SIZE - 1) / 2)[:, None, None] * np.ones_like(rise)
    both = lungs(plain) & lungs(wet)
    assert rise[both & (x < 10)].mean() > rise[both & (x > 18)].mean() + 50 > 50


def test_edema_may_lean_to_a_side(gain) -> None:
    right, left = halves(gain(edema=0.8, edema_balance=0.8))
    assert right > 2 * left


def test_edema_fills_the_vessels_of_the_upper_zones(ill) -> None:
    share = []
    for built in (ill(), ill(edema=1.0)):
        vessels = built.tissue == TISSUE["vessel"]
        sides = np.abs(np.arange(SIZE) - (SIZE - 1) / 2) * EXTENT_MM / SIZE > 40  # without the great vessels
        heights = vessels[sides].sum(axis=(0, 1))
        share.append(heights[SIZE // 2 + 6 :].sum() / heights.sum())
    assert share[1] > share[0] + 0.03


# --- masks and the cohort --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "finding",
    [
        {"atelectasis": 0.8},
        {"consolidation": 0.7, "consolidation_lobe": "left_upper"},
        {"consolidation": 0.5, "consolidation_pattern": "patchy"},
        {"edema": 0.7},
        {"effusion_left": 0.5},
    ],
)
def test_the_mask_is_where_the_lung_became_denser(ill, finding: dict) -> None:
    plain, built = ill(), ill(**finding)
    assert not plain.findings.any()
    present = {name for name in PATHOLOGIES if Findings(**finding).labels()[name]}
    assert {name for name in PATHOLOGIES if extent(built, name).any()} == present
    mask = built.findings > 0
    was_lung = mask & lungs(plain)
    assert was_lung.sum() > 0.5 * mask.sum()
    denser = built.volume.hu - plain.volume.hu > 40
    assert (denser & was_lung).sum() > 0.85 * was_lung.sum()


@pytest.mark.parametrize("seed", range(40, 52))
def test_every_label_has_its_voxels(seed: int) -> None:
    patient = sample_patient(seed)
    patient = replace(patient, scan=replace(patient.scan, field_of_view_mm=400.0, above_mm=60.0, below_mm=150.0))
    built = make_patient(patient, SIZE)
    for name, label in patient.findings.labels().items():
        assert extent(built, name).any() == bool(label), (name, patient.findings)


def test_findings_are_drawn_as_in_a_cohort() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_findings(rng, age) for age in rng.normal(61, 12, 2000)]
    labels = np.array([list(one.labels().values()) for one in drawn], bool)
    assert ((labels.mean(axis=0) > 0.14) & (labels.mean(axis=0) < 0.31)).all()
    index = {name: i for i, name in enumerate(PATHOLOGIES)}

    def lift(a: str, b: str) -> float:
        one, other = labels[:, index[a]], labels[:, index[b]]
        return float((one & other).mean() / (one.mean() * other.mean()))

    assert lift("edema", "pleural_effusion") > 1.5
    assert lift("edema", "cardiomegaly") > 1.5
    assert lift("cardiomegaly", "pleural_effusion") > 1.2
    assert lift("atelectasis", "pleural_effusion") > 1.4
    assert lift("consolidation", "pleural_effusion") > 1.15
    assert 0.7 < lift("consolidation", "cardiomegaly") < 1.15
    effusions = [one for one in drawn if one.pleural_effusion]
    both = [bool(one.effusion_right and one.effusion_left) for one in effusions]
    wet = [bool(one.edema) for one in effusions]
    assert np.mean(np.array(both)[wet]) > np.mean(np.array(both)[~np.array(wet)]) + 0.2
    filled = [one for one in drawn if one.consolidation]
    assert 0.2 < np.mean([one.consolidation_pattern == "hidden" for one in filled]) < 0.4
    assert 0.15 < np.mean([one.consolidation < 0.25 for one in filled]) < 0.35
    assert np.mean([abs(one.edema_balance) < 0.4 for one in drawn if one.edema]) > 0.8


def test_age_brings_a_failing_heart() -> None:
    rng = np.random.default_rng(1)
    share = [np.mean([bool(sample_findings(rng, age).cardiomegaly) for _ in range(1500)]) for age in (35.0, 85.0)]
    assert share[1] > 1.4 * share[0]


def test_the_lesions_of_two_patients_differ(ill) -> None:
    masks = [extent(ill(seed=seed, consolidation=0.5), "consolidation") for seed in (3, 4)]
    overlap = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    assert overlap < 0.8
