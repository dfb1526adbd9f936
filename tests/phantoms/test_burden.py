"""What years leave behind: distributed as published, and painted where it belongs."""

from dataclasses import replace

import numpy as np
import pytest

from xray2xray.phantoms import TISSUES, Burden, Findings, Patient, make_volume, sample_patient
from xray2xray.phantoms.burden import sample_burden
from xray2xray.phantoms.calcium import MM3_PER_SCORE, coronary_courses
from xray2xray.phantoms.emphysema import HOLE_HU, add_emphysema
from xray2xray.phantoms.shape import profiles, shape
from xray2xray.phantoms.texture import texture
from xray2xray.phantoms.tissues import LUNG_LEFT, LUNG_RIGHT

SIZE = 80
VOXEL_MM3 = (384 / SIZE) ** 3
MEAN_PLAQUE_HU = 850.0


def burdens(n: int, low: float, high: float, female: bool) -> list[Burden]:
    rng = np.random.default_rng(7)
    return [sample_burden(rng, age, female) for age in rng.uniform(low, high, n)]


def any_share(people: list[Burden], name: str) -> float:
    return float(np.mean([getattr(one, name) > 0 for one in people]))


@pytest.fixture(scope="module")
def plain(whole) -> Patient:
    """A healthy patient, scanned whole, unenhanced and without noise."""
    patient = sample_patient(3)
    scan = replace(patient.scan, **whole, noise_hu=0.0)
    return replace(patient, findings=Findings(), burden=Burden(), scan=scan)


@pytest.fixture(scope="module")
def bare(plain: Patient) -> tuple[np.ndarray, np.ndarray]:
    volume, tissue = make_volume(plain, SIZE)
    return volume.hu, tissue


def test_coronary_calcium_as_in_heinz_nixdorf_recall() -> None:
    """Percentiles 50, 75 and 90 at 45 to 75 years: men 41, 193, 557; women 1, 24, 140 (Erbel 2014)."""
    for female, published in ((False, (41, 193, 557)), (True, (1, 24, 140))):
        scores = [one.coronary for one in burdens(4000, 45, 75, female)]
        ours = np.percentile(scores, (50, 75, 90))
        assert np.abs(np.log1p(ours) - np.log1p(published)).max() < 0.75, (female, ours)


def test_calcium_beyond_the_coronaries_as_in_mesa() -> None:
    women, men = burdens(3000, 45, 82, True), burdens(3000, 45, 82, False)
    assert 0.2 < any_share(women + men, "aortic") < 0.4
    assert any_share(men, "aortic_valve") > any_share(women, "aortic_valve")
    assert any_share(women, "mitral_annulus") > any_share(men, "mitral_annulus")
    coronary, aortic = (np.array([getattr(one, name) for one in men]) for name in ("coronary", "aortic"))
    assert aortic[coronary > 100].mean() > 2 * aortic[coronary == 0].mean(), "one trait ties them together"


def test_everything_grows_with_age_and_bone_thins() -> None:
    young, old = burdens(1500, 40, 50, False), burdens(1500, 70, 80, False)
    for name in ("coronary", "aortic", "aortic_valve", "mitral_annulus", "unfolding", "emphysema"):
        means = [np.mean([getattr(one, name) for one in people]) for people in (young, old)]
        assert means[1] > 1.2 * means[0], name
    assert np.mean([one.bone for one in old]) < 0.85 * np.mean([one.bone for one in young])
    assert max(one.emphysema for one in old) <= 0.4


def test_a_burden_is_its_stream() -> None:
    assert sample_burden(np.random.default_rng(5), 70, True) == sample_burden(np.random.default_rng(5), 70, True)


@pytest.mark.parametrize("seed", range(30, 36))
def test_the_coronary_arteries_run_around_the_heart(seed: int) -> None:
    patient = sample_patient(seed)
    s = shape(patient, profiles(patient))
    courses = coronary_courses(s)
    right, front = (
        {name: (points - [s.heart_x, s.heart_y, s.heart_z])[:, axis].mean() for name, points in courses.items()}
        for axis in (0, 1)
    )
    assert right["rca"] > max(right["lad"], right["lcx"])
    assert front["lad"] > 0 > front["lcx"]


@pytest.mark.parametrize("name", ["coronary", "aortic", "aortic_valve", "mitral_annulus"])
def test_calcium_has_the_mass_of_its_score_and_lies_where_it_belongs(
    name: str, plain: Patient, bare: tuple[np.ndarray, np.ndarray]
) -> None:
    hu, tissue = bare
    calcified = make_volume(replace(plain, burden=Burden(**{name: 1000.0})), SIZE)[0].hu
    gain = calcified - hu
    mass = gain.sum() * VOXEL_MM3 / (1000 * MM3_PER_SCORE * (MEAN_PLAQUE_HU - 45))
    assert 0.4 < mass < 1.3
    heart = np.argwhere(tissue == TISSUES.index("heart"))
    centre = (np.argwhere(gain > 50) - heart.mean(axis=0)).mean(axis=0)
    if name == "aortic":
        assert centre[1] < -3, "behind the heart"
        assert centre[2] > 0, "most of it above"
    else:
        assert (np.abs(centre) < np.ptp(heart, axis=0) / 2).all()


def test_plaques_grow_with_the_score(plain: Patient, bare: tuple[np.ndarray, np.ndarray]) -> None:
    dense = [
        (make_volume(replace(plain, burden=Burden(coronary=score)), SIZE)[0].hu - bare[0] > 30).sum()
        for score in (0.0, 200.0, 2000.0)
    ]
    assert dense[0] == 0
    assert 0 < dense[1] < dense[2]


def test_emphysema_empties_its_share_most_of_it_above() -> None:
    noise = texture(np.random.default_rng(1), 48)
    tissue = np.zeros((48, 48, 48), np.uint8)
    tissue[4:20, 8:40, 6:42], tissue[28:44, 8:40, 6:42] = LUNG_RIGHT, LUNG_LEFT
    hu = np.where(tissue > 0, -850, 40).astype(np.float32)
    before = hu.copy()
    add_emphysema(hu, tissue, 0.25, noise)
    assert np.array_equal(hu[tissue == 0], before[tissue == 0])
    empty = hu < 0.5 * (HOLE_HU - 850)
    assert 0.22 < empty[tissue > 0].mean() < 0.28
    assert empty[:, :, 24:42].sum() > 2 * empty[:, :, 6:24].sum() > 0
    assert hu.min() >= HOLE_HU - 1


def test_emphysema_darkens_and_inflates_the_lungs(plain: Patient, bare: tuple[np.ndarray, np.ndarray]) -> None:
    volume, tissue = make_volume(replace(plain, burden=Burden(emphysema=0.35)), SIZE)
    lungs, healthy = ((t == LUNG_RIGHT) | (t == LUNG_LEFT) for t in (tissue, bare[1]))
    upper = np.arange(SIZE) > SIZE / 2
    assert volume.hu[lungs & upper].mean() < bare[0][healthy & upper].mean() - 25
    assert lungs.sum() > 1.02 * healthy.sum(), "hyperinflated"
