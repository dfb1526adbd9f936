"""Which patients are evaluated, and what is taken off them first."""

import numpy as np
import pytest

from xray2xray.core.seeds import FIRST_TEST_SEED
from xray2xray.evaluation.cases import BONE_YAW_DEG, CUT, WHOLE, rendered, sources
from xray2xray.evaluation.results import Failure
from xray2xray.evaluation.volume_rows import empty_grid
from xray2xray.phantoms import patient_volume
from xray2xray.projection.geometry import preset
from xray2xray.volume import remove_couch
from xray2xray.volume.nifti import write_nifti
from xray2xray.volume.volume import Volume


@pytest.fixture(scope="module")
def on_a_couch():
    """A virtual patient on a couch."""
    for seed in range(20):
        volume = patient_volume(seed, 64)
        if not np.array_equal(remove_couch(volume).hu, volume.hu):
            return volume
    raise AssertionError("none of 20 patients lies on a couch")


@pytest.mark.parametrize("without_couch", [False, True])
def test_couches_stay_unless_they_are_taken_away(on_a_couch, tmp_path, without_couch):
    write_nifti(tmp_path / "scan.nii.gz", on_a_couch)
    (source,) = sources([tmp_path / "scan.nii.gz"], without_couch=without_couch)
    wanted = remove_couch(on_a_couch) if without_couch else on_a_couch
    assert source.name == "scan"
    assert np.abs(source.volume().hu - wanted.hu).max() < 1


def test_virtual_patients_have_the_seeds_of_tests():
    assert [source.name for source in sources(procedural=2, seed=3)] == [
        f"thorax-{FIRST_TEST_SEED + 3}",
        f"thorax-{FIRST_TEST_SEED + 4}",
    ]


def test_bones_are_rendered_where_they_are_asked_for(on_a_couch, tmp_path):
    write_nifti(tmp_path / "scan.nii.gz", on_a_couch)
    (plain,), (case,) = (
        list(rendered(list(sources([tmp_path])), preset("chest", 32), [], [0.0], bone_yaw_deg=bones))
        for bones in ((), BONE_YAW_DEG)
    )
    assert plain.bone_mm is None
    assert case.bone_mm.shape == (len(BONE_YAW_DEG), 32, 32)
    assert 20 < case.bone_mm[BONE_YAW_DEG.index(90.0)].max() < 300, "the spine, from the side, in mm"
    assert (case.bone_mm == 0).mean() > 0.1


def test_the_body_is_where_rays_meet_it_and_a_short_scan_is_cut(on_a_couch, tmp_path):
    bare = remove_couch(on_a_couch)
    middle = bare.shape[2] // 2
    affine = bare.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (middle - 13)
    write_nifti(tmp_path / "short.nii.gz", Volume(bare.hu[:, :, middle - 13 : middle + 13], affine))
    long = Volume(np.repeat(bare.hu[:, :, [middle]], 120, axis=2), bare.affine)
    write_nifti(tmp_path / "whole.nii.gz", long)
    grid = empty_grid(32)
    short, whole = rendered(list(sources([tmp_path])), preset("chest", 32), [], [0.0, 90.0], with_body=True, grid=grid)
    assert (short.scan, whole.scan) == (CUT, WHOLE)
    assert whole.body.shape == whole.views_p.shape
    assert (whole.views_p[~whole.body] < 0.1).all(), "what is beside the body is skin at most"
    assert whole.views_p[whole.body].mean() > 1
    assert 0.1 < short.body[0].mean() < 0.7 * whole.body[0].mean()
    assert short.truth.shape == grid.shape
    assert np.abs(short.truth.isocentre_mm).max() < 25, "the grid is about the isocentre, to two voxels"


def test_a_scan_that_cannot_be_read_is_listed_and_the_others_go_on(on_a_couch, tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"no scan")
    write_nifti(tmp_path / "whole.nii.gz", on_a_couch)
    failed: list[Failure] = []
    cases = list(rendered(list(sources([tmp_path])), preset("chest", 16), failed, yaw_deg=[0.0]))
    assert [case.name for case in cases] == ["whole"]
    assert [one.case for one in failed] == ["broken"]
    assert cases[0].views_p.shape == (1, 16, 16)
