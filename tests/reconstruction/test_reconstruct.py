from typing import get_args

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.ellipsoids import Ellipsoid, exact_views
from xray2xray.projection.forward import project
from xray2xray.projection.geometry import STANDARD_ARC, preset
from xray2xray.projection.request import Request
from xray2xray.reconstruction.problem import Problem
from xray2xray.reconstruction.reconstruct import ITERATIONS, Method, reconstruct, visual_hull
from xray2xray.volume.attenuation import mu_to_hu
from xray2xray.volume.nifti import read_nifti, write_nifti
from xray2xray.volume.volume import Volume, canonical


def test_left_is_left(blob):
    """Three landmarks of different weight come back within half a voxel of where they were."""
    places = {1.0: (70, 30, 20), 0.8: (-50, -40, 60), 0.6: (-20, 60, -70)}
    scans = [(weight, blob(place)) for weight, place in places.items()]
    mu = sum(weight * scan.mu for weight, scan in scans)
    geometry = preset(size=64)
    views = project(mu, scans[0][1].affine, geometry, STANDARD_ARC, (0, 0, 0))
    volume = reconstruct(views, geometry, STANDARD_ARC, size=64, iterations=6, show_progress=False).volume

    density = np.maximum(volume.hu + 1000, 0)
    index = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    mm = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    for place in places.values():
        near = np.linalg.norm(mm - place, axis=-1) < 25
        centre = np.average(mm[near], axis=0, weights=density[near])
        assert np.abs(centre - place).max() < 3.0  # half of 6 mm


def test_chest_comes_back_in_hounsfield_units(chest_scan, chest_ellipsoids):
    """From exact views, which no projector of ours made."""
    geometry, scan = preset(size=64), chest_scan(64)
    views = exact_views(chest_ellipsoids, geometry, STANDARD_ARC, (0, 0, 0))
    volume = reconstruct(views, geometry, STANDARD_ARC, size=64, show_progress=False).volume
    assert np.allclose(volume.affine, scan.affine)
    truth = mu_to_hu(scan.mu)
    inner = (slice(8, 56),) * 3
    error = np.sqrt(np.mean((volume.hu - truth)[inner] ** 2))
    assert 20 * np.log10(2500 / error) > 30
    tissue = {"lung": (70, 0, 10), "heart": (-25, 35, -20), "air": (0, 150, 0)}
    for place in tissue.values():
        i, j, k = np.rint((np.array(place) - volume.affine[:3, 3]) / 6).astype(int)
        box = (slice(i - 2, i + 2), slice(j - 2, j + 2), slice(k - 2, k + 2))
        assert abs(volume.hu[box].mean() - truth[box].mean()) < 60


def test_more_iterations_explain_the_views_better(chest_scan):
    geometry, scan, yaw = preset(size=48), chest_scan(48), np.arange(-90, 91, 15.0)
    views = project(scan.mu, scan.affine, geometry, yaw, (0, 0, 0))
    errors = []
    for iterations in (1, 4, 12):
        volume = reconstruct(
            views, geometry, yaw, size=48, iterations=iterations, find_body=False, show_progress=False
        ).volume
        errors.append(np.mean((volume.hu - mu_to_hu(scan.mu)) ** 2))
    assert errors[0] > errors[1] > errors[2]


def test_hull_holds_the_body_and_not_the_air(chest_scan):
    geometry, scan, yaw = preset(size=64), chest_scan(64), np.array(STANDARD_ARC)
    views = project(scan.mu, scan.affine, geometry, yaw, (0, 0, 0))
    hull = visual_hull(Problem(views, Request.of(scan.mu.shape, scan.affine, geometry, yaw)))
    body = scan.mu > 0.002
    assert (body & ~hull).sum() < 0.005 * body.sum()
    assert hull.sum() < 1.5 * body.sum()


def test_nothing_grows_outside_the_support():
    geometry, support = preset(size=16), np.zeros((16, 16, 16), bool)
    support[4:12, 4:12, 4:12] = True
    views = np.full((3, 16, 16), 2.0)
    volume = reconstruct(views, geometry, [-90, 0, 90], size=16, support=support, show_progress=False).volume
    assert (volume.hu[~support] == -1000).all()
    assert volume.hu[support].max() > -900


def test_one_view_is_enough_to_run():
    geometry = preset(size=16)
    volume = reconstruct(np.ones((1, 16, 16)), geometry, [0], size=16, iterations=2, show_progress=False).volume
    assert np.isfinite(volume.hu).all()


def test_bad_input_is_refused():
    geometry = preset(size=8)
    with pytest.raises(InputError, match="finite views"):
        reconstruct(np.zeros((2, 8, 8)), geometry, [0.0])
    with pytest.raises(InputError, match="finite views"):
        reconstruct(np.full((1, 8, 8), np.nan), geometry, [0.0])
    with pytest.raises(InputError, match="relaxation"):
        reconstruct(np.zeros((1, 8, 8)), geometry, [0.0], relaxation=2.0)
    with pytest.raises(InputError, match="support"):
        reconstruct(np.zeros((1, 8, 8)), geometry, [0.0], size=8, support=np.ones((4, 4, 4), bool))
    with pytest.raises(InputError, match="no method"):
        reconstruct(np.zeros((1, 8, 8)), geometry, [0.0], method="art")
    with pytest.raises(InputError, match="give both"):
        reconstruct(np.zeros((1, 8, 8)), geometry, [0.0], shape=(4, 4, 4))
    with pytest.raises(InputError, match="another grid"):
        reconstruct(np.zeros((1, 8, 8)), geometry, [0.0], size=8, initial=Volume(np.zeros((4, 4, 4)), np.eye(4)))
    with pytest.raises(InputError, match="total variation"):
        reconstruct(np.zeros((1, 8, 8)), geometry, [0.0], size=8, tv=-1.0)


LANDMARKS = {(60, 25, 20): 0.05, (-45, -40, 50): 0.04, (-20, 45, -55): 0.03}


@pytest.mark.parametrize("method", get_args(Method))
def test_landmarks_come_back_through_a_file_on_any_grid(method, tmp_path):
    """A grid that is no cube, is flipped and turned, and has its isocentre elsewhere; left is left after a NIfTI."""
    geometry, isocentre = preset(size=64), np.array([12.0, -30.0, 400.0])
    balls = [Ellipsoid(np.add(place, isocentre), (9, 9, 9), mu) for place, mu in LANDMARKS.items()]
    views = exact_views(balls, geometry, STANDARD_ARC, isocentre)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = 5.0, -4.0, -6.0, 1.0  # axes: superior, left, posterior
    shape = (32, 48, 24)
    affine[:3, 3] = isocentre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    found = reconstruct(
        views,
        geometry,
        STANDARD_ARC,
        method=method,
        shape=shape,
        affine=affine,
        isocentre_mm=isocentre,
        tv=1.0,
        find_body=False,
        show_progress=False,
    )
    write_nifti(tmp_path / "found.nii.gz", found.volume)
    volume = read_nifti(tmp_path / "found.nii.gz")
    assert volume.shape == shape
    density = np.maximum(volume.hu + 1000, 0)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    mm = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    for ball in balls:
        near = np.linalg.norm(mm - ball.centre_mm, axis=-1) < 22
        centre = np.average(mm[near], axis=0, weights=density[near])
        assert np.abs(centre - ball.centre_mm).max() < 2.0  # half of the smallest voxel
    assert len(found.residuals) == ITERATIONS[method]
    assert found.residuals[-1] < 0.6


@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_keeps_to_the_support_and_starts_where_it_is_told(method, chest_scan):
    geometry, scan, yaw = preset(size=32), chest_scan(32), np.arange(-90, 91, 15.0)
    views = project(scan.mu, scan.affine, geometry, yaw)
    support = scan.mu > 0
    truth = Volume(mu_to_hu(scan.mu), scan.affine)
    found = reconstruct(
        views, geometry, yaw, 32, method=method, initial=truth, support=support, iterations=1, show_progress=False
    )
    assert (found.volume.hu[~support] == -1000).all()
    assert np.abs(found.volume.hu - truth.hu).max() < 1  # nothing was left to explain


@pytest.mark.parametrize("views", [10, 20])
def test_few_parallel_views_of_a_real_scan(real_data, views):
    """The marks that the documentation's table gives with a margin; see benchmarks/reconstruction.py."""
    from benchmarks.reconstruction import MARKS_DB, slice_planes, slice_psnr, small_slice

    volume = canonical(read_nifti(real_data / "ct" / "LIDC-IDRI-0001_2mm.nii.gz"))
    planes = slice_planes(volume).values()
    psnr = [slice_psnr(small_slice(volume.hu[:, :, plane]), views, 360 / 128) for plane in planes]
    assert np.mean(psnr) >= MARKS_DB[views]
