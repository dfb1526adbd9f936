"""The couch goes, the patient stays: on bodies that are drawn here, on virtual patients and on real scans."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_fill_holes, label

from xray2xray.phantoms import make_volume, sample_patient
from xray2xray.phantoms.tissues import COUCH
from xray2xray.projection import preset, project, render
from xray2xray.volume import Volume, body_mask, canonical, isocentre_mm, read_volume
from xray2xray.volume.chest import BODY_HU
from xray2xray.volume.couch import remove_couch


def _scan(arms: bool = True) -> tuple[Volume, np.ndarray, np.ndarray]:
    """A trunk with lungs, two arms apart from it, a couch under them, a sheet over them; the arms and the couch."""
    affine = np.diag([4.0, 4, 4, 1])
    i, j, k = np.meshgrid(np.arange(120), np.arange(90), np.arange(40), indexing="ij")
    hu = np.full(i.shape, -1000.0, np.float32)
    trunk = ((i - 60) / 38) ** 2 + ((j - 45) / 26) ** 2 <= 1
    hu[trunk] = 30
    for side in (42, 78):
        hu[((i - side) / 12) ** 2 + ((j - 45) / 18) ** 2 + ((k - 20) / 16) ** 2 <= 1] = -850
    limbs = np.zeros_like(trunk)
    if arms:
        for side in (9, 111):
            limb = (i - side) ** 2 + (j - 40) ** 2 <= 64
            hu[limb] = 40
            hu[(i - side) ** 2 + (j - 40) ** 2 <= 5] = 700
            limbs |= limb
    couch = (np.abs(j - (12 + ((i - 60) / 60) ** 2 * 8)) <= 5) & ~trunk & ~limbs
    hu[couch] = -750
    shell = couch & (np.abs(j - (17 + ((i - 60) / 60) ** 2 * 8)) < 0.6)
    hu[shell] = 100
    hu[(np.abs(j - 80) <= 0.5)] = -300  # the sheet
    return Volume(hu, affine), limbs, couch


def test_couch_and_sheet_go_and_the_arms_stay():
    volume, limbs, couch = _scan()
    bare = remove_couch(volume)
    trunk = (volume.hu > -900) & ~couch & ~limbs
    trunk[:, 79:] = False
    assert np.array_equal(bare.hu[limbs], volume.hu[limbs])
    assert np.array_equal(bare.hu[trunk], volume.hu[trunk])
    assert (bare.hu[:, 79:] == -1000).all()
    left = couch & (bare.hu > -1000)
    assert left.sum() < 0.05 * couch.sum()  # the voxels that touch the skin


def test_nothing_is_left_of_a_couch_alone():
    hu = np.full((40, 40, 20), -1000.0, np.float32)
    assert (remove_couch(Volume(hu, np.eye(4))).hu == -1000).all()


def test_air_is_not_made_denser():
    """Padding below -1000 HU outside a scanner's circle stays what it is."""
    volume, *_ = _scan(arms=False)
    volume.hu[:3] = -2048
    assert (remove_couch(volume).hu[:3] == -2048).all()


# the circle cuts the lungs of 0, 2 and 16 open; 0 and 4 have a couch; the last plane of 4 is filled up with air above
@pytest.mark.parametrize(("seed", "size"), [(0, 96), (1, 96), (2, 96), (0, 128), (4, 128), (16, 128)])
def test_virtual_patients_lose_their_couch_and_nothing_else(seed, size):
    volume, tissue = make_volume(sample_patient(seed), size)
    bare = remove_couch(volume)
    body = (tissue != COUCH) & (tissue != 0)
    assert (bare.hu != volume.hu)[body].mean() < 1e-3
    assert not (bare.hu[tissue == COUCH] > -900).any()


def test_a_shell_that_the_body_mask_has_swallowed_goes():
    i, j, _ = np.meshgrid(np.arange(160), np.arange(110), np.arange(20), indexing="ij")
    back = np.ceil(55 - 40 * np.sqrt(np.maximum(1 - ((i - 80) / 65) ** 2, 0)))
    trunk = ((i - 80) / 65) ** 2 + ((j - 55) / 40) ** 2 <= 1
    shell = (np.abs(i - 80) < 40) & (j == back - 3)
    volume = Volume(np.where(trunk | shell, 40, -1000), np.diag([2.0, 2, 2, 1]))
    assert (shell & body_mask(volume)).sum() > 0.3 * shell.sum()
    bare = remove_couch(volume)
    assert (bare.hu[shell] == -1000).all()
    assert np.array_equal(bare.hu[trunk], volume.hu[trunk])


@pytest.mark.parametrize("name", ["LIDC-IDRI-0001", "Lung_Dx-A0001", "Lung_Dx-A0002"])
def test_behind_a_real_back_is_air(name, real_data):
    volume = read_volume(real_data / "ct" / f"{name}_2mm.nii.gz")
    bare, geometry, isocentre = remove_couch(volume), preset(size=128), isocentre_mm(volume)
    body = body_mask(volume)
    skin = binary_dilation(body, iterations=2).astype(np.float32)
    beside = project(skin, volume.affine, geometry, [90], isocentre)[0] == 0
    with_couch, without = (render(v, geometry, [90])[0] for v in (volume, bare))
    assert with_couch[beside].max() > 0.5
    assert without[beside].max() < 0.01

    # the body mask holds pieces of the couch, behind the back and nowhere else
    lost = body & (bare.hu != volume.hu)
    y = np.tensordot(volume.affine[1, :3], np.indices(volume.shape, dtype=np.float32), 1) + volume.affine[1, 3]
    assert lost.mean() < 0.01 * body.mean()
    assert (lost & (y > isocentre[1])).sum() < 1e-4 * body.sum()


@pytest.mark.parametrize("name", ["LIDC-IDRI-0001", "Lung_Dx-A0001", "Lung_Dx-A0002"])
def test_a_real_patient_is_one_piece(name, real_data):
    bare = canonical(remove_couch(read_volume(real_data / "ct" / f"{name}_2mm.nii.gz")))
    dense = bare.hu > BODY_HU
    planes = [binary_fill_holes(dense[..., k]) for k in range(dense.shape[2])]
    pieces = np.bincount(label(np.stack(planes, axis=2))[0].ravel())[1:]
    assert (pieces.sum() - pieces.max()) * bare.spacing_mm.prod() < 1000  # cubic millimetres
