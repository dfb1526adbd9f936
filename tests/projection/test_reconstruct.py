import numpy as np
import pytest

from xray2xray.errors import InputError
from xray2xray.projection.ellipsoids import exact_views
from xray2xray.projection.forward import project
from xray2xray.projection.geometry import STANDARD_ARC, as_poses, preset
from xray2xray.projection.os_sart import _far_apart
from xray2xray.projection.problem import Problem
from xray2xray.projection.reconstruct import reconstruct, visual_hull
from xray2xray.volume.attenuation import mu_to_hu


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
    hull = visual_hull(Problem(views, geometry, as_poses(yaw), scan.mu.shape, scan.affine, np.zeros(3)))
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


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_subsets_are_visited_once_each(count):
    assert sorted(_far_apart(count)) == list(range(count))


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
