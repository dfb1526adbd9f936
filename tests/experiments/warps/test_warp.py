"""One chest bent to the outline of another: it gets there, keeps its HU, and is the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.data import ViewStore, check_groups, group_of
from xray2xray.experiments.warps.__main__ import main
from xray2xray.experiments.warps.render import render_warps
from xray2xray.experiments.warps.warp import STRETCH, VOXEL_MM, Outline, outline, patient_outline, warp
from xray2xray.phantoms import Findings, make_volume, sample_patient
from xray2xray.volume import Volume, body_mask, read_volume, remove_couch, write_nifti
from xray2xray.volume.volume import lung_mask

SIZE = 96
A, B = 3, 1  # a large chest, a small one


def virtual(seed: int) -> Volume:
    """A patient without findings, scanned whole, without a couch."""
    patient = sample_patient(seed)
    scan = replace(patient.scan, couch=False, supine=True, arms_up=True)
    scan = replace(scan, field_of_view_mm=1e3, above_mm=1e3, below_mm=1e3)
    return make_volume(replace(patient, findings=Findings(), scan=scan), SIZE)[0]


@pytest.fixture(scope="module")
def chests() -> dict[int, Volume]:
    return {seed: virtual(seed) for seed in (A, B)}


@pytest.fixture(scope="module")
def outlines(chests) -> dict[int, Outline]:
    return {seed: outline(volume) for seed, volume in chests.items()}


def organs(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Lungs and body on one grid for all chests, whose origin is their domes and the middle of their lungs."""
    body = body_mask(volume)
    lungs = lung_mask(volume.hu, body, float(volume.spacing_mm.prod()) / 1000)
    found = outline(volume)
    origin = np.array([*found.edges_mm[:, :, [1, -2]].mean((0, 2)), found.z_mm[1]])
    axes = (np.arange(-200, 201, 4.0), np.arange(-150, 151, 4.0), np.arange(-40, 181, 4.0))
    mm = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) + origin
    index = np.rint(mm / volume.spacing_mm).astype(int)
    inside = ((index >= 0) & (index < volume.shape)).all(-1)
    at = tuple(np.moveaxis(np.clip(index, 0, np.array(volume.shape) - 1), -1, 0))
    return lungs[at] & inside, body[at] & inside


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_chest_becomes_another(chests, outlines):
    want = organs(chests[B])
    before, after = organs(chests[A]), organs(warp(chests[A], outlines[A], outlines[B]))
    for organ, gain in ((0, 0.05), (1, 0.03)):
        assert dice(want[organ], after[organ]) > dice(want[organ], before[organ]) + gain


def test_its_own_outline_leaves_a_chest_as_it_is(chests, outlines):
    volume = chests[A]
    assert volume.spacing_mm[0] == 2 * VOXEL_MM
    same = warp(volume, outlines[A], outlines[A]).hu[::2, ::2, ::2]
    assert same.shape == volume.shape
    assert np.abs(same - volume.hu).mean() < 0.1


def test_hu_stay_hu_and_a_seed_is_a_warp(chests, outlines):
    one, same, other = (warp(chests[A], outlines[A], outlines[B], seed) for seed in (1, 1, 2))
    assert one.hu.tobytes() == same.hu.tobytes()
    assert np.abs(one.hu - other.hu).mean() > 5
    assert one.hu.min() == chests[A].hu.min() == -1000
    assert one.hu.max() <= chests[A].hu.max()


def test_a_shape_too_far_away_is_met_half_way(chests, outlines):
    own = outlines[A]
    for factor, limit in ((2.0, STRETCH[1]), (0.4, STRETCH[0])):
        far = Outline(own.z_mm * factor, own.edges_mm * factor)
        got = outline(warp(chests[A], own, far))
        for axis in (0, 1):
            stretch = np.ptp(got.edges_mm[:, axis], axis=1) / np.ptp(own.edges_mm[:, axis], axis=1)
            np.testing.assert_allclose(stretch.mean(), limit, atol=0.05)
        np.testing.assert_allclose(np.ptp(got.z_mm) / np.ptp(own.z_mm), limit, atol=0.06)


def test_a_virtual_patient_is_measured_like_a_ct(chests, outlines):
    for seed in (A, B):
        found, known = outlines[seed], patient_outline(seed)
        for axis in (0, 1):
            width = [np.ptp(o.edges_mm[:, axis, [1, -2]], axis=1).mean() for o in (found, known)]
            assert abs(width[0] - width[1]) < 6
        assert abs(np.ptp(found.z_mm) - np.ptp(known.z_mm)) < 24  # a thin sulcus ends some planes of 6 mm apart


def test_no_lungs_no_warp():
    hu = np.full((60, 50, 50), -1000.0)
    hu[10:50, 10:40] = 40
    with pytest.raises(InputError, match="a thigh: no lungs"):
        outline(Volume(hu, np.diag([5.0, 5, 5, 1]), "a thigh"))


def test_render_makes_warps_and_goes_on(tmp_path):
    scan = tmp_path / "p1.nii.gz"
    write_nifti(scan, virtual(B))
    words = [str(scan), "--out", str(tmp_path / "views"), "--size", "32", "--yaw-deg", "0", "--workers", "1"]
    main([*words, "--count", "1"])
    store = ViewStore.open(tmp_path / "views")
    assert len(store) == 2
    before = store.path("p1-warp-0001").stat().st_mtime_ns
    main([*words, "--count", "2"])
    assert store.path("p1-warp-0001").stat().st_mtime_ns == before
    assert store.studies() == ["p1", "p1-warp-0001", "p1-warp-0002"]

    labels = {study: store.read_labels(study) for study in store.studies()}
    assert {group_of(labels[study], study) for study in labels} == {"p1"}
    assert labels["p1-warp-0001"]["warp_seed"] != labels["p1-warp-0002"]["warp_seed"]
    first, second = (store.read(f"p1-warp-000{n}").views_p for n in (1, 2))
    assert np.abs(first - second).mean() > 0.1
    check_groups(dict.fromkeys(labels, "train"), labels)
    with pytest.raises(InputError, match=r"p1-warp-0002 is in test and p1 in train"):
        check_groups({"p1": "train", "p1-warp-0001": "train", "p1-warp-0002": "test"}, labels)


def test_no_chest_no_views(tmp_path):
    with pytest.raises(InputError, match="nothing"):
        render_warps([tmp_path / "nothing.nii.gz"], tmp_path / "views", 1, workers=1)


@pytest.mark.parametrize("seed", [1, 3])
def test_a_real_chest_gets_the_lungs_of_a_virtual_one(seed, real_data):
    volume = remove_couch(read_volume(real_data / "ct" / "LIDC-IDRI-0001_2mm.nii.gz"))
    target = patient_outline(seed)
    got = outline(warp(volume, outline(volume), target, seed))
    for axis in (0, 1):
        wide = [np.ptp(o.edges_mm[:, axis, [1, -2]], axis=1) for o in (got, target)]
        assert np.abs(wide[0] - wide[1]).mean() < 15
    np.testing.assert_allclose(np.ptp(got.z_mm), np.ptp(target.z_mm), atol=20)
