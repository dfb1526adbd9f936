"""The fast projector against bodies whose views are known."""

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.ellipsoids import Ellipsoid, exact_views, voxelise
from xray2xray.projection.forward import project
from xray2xray.projection.geometry import NAMED_VIEWS, Geometry, Pose, preset, rays_mm
from xray2xray.reconstruction.reconstruct import centred_affine

ORIGIN = (0.0, 0.0, 0.0)


def test_slab_gives_thickness_times_obliquity():
    """A slab across the beam: every ray crosses its thickness over the cosine of its own angle."""
    geometry = preset("xwin", 32)
    mu = np.full((200, 20, 200), 0.02, np.float32)
    affine = np.diag([5.0, 3.0, 5.0, 1.0])
    affine[:3, 3] = [-497.5, -28.5, -497.5]
    view = project(mu, affine, geometry, [0], ORIGIN)[0]
    starts, ends = rays_mm(geometry, 0)
    cosine = geometry.sdd_mm / np.linalg.norm(ends - starts, axis=-1)
    assert np.allclose(view, 0.02 * 60 / cosine, rtol=1e-5)


def test_sphere_has_its_diameter_in_the_middle():
    affine = centred_affine(96, 288)
    mu = voxelise([Ellipsoid(ORIGIN, (100, 100, 100), 0.02)], (96, 96, 96), affine)
    views = project(mu, affine, preset(size=129), [-90, -30, 0, 60, 180], ORIGIN)
    assert views[:, 64, 64] == pytest.approx(4.0, rel=4e-3)


@pytest.mark.parametrize("name", ["chest", "x2ct", "parallel"])
def test_chest_agrees_with_exact_line_integrals(name, chest_scan, chest_ellipsoids):
    geometry, yaw = preset(name, 64), [-90, -50, 0, 35, 180]
    exact = exact_views(chest_ellipsoids, geometry, yaw, ORIGIN)
    errors = []
    for size in (32, 64, 128):
        scan = chest_scan(size)
        views = project(scan.mu, scan.affine, geometry, yaw, ORIGIN)
        errors.append(np.linalg.norm(views - exact) / np.linalg.norm(exact))
    # What is left at 128 is the blur of a voxel at tangential edges; it falls faster than the voxel shrinks.
    assert errors[2] < 0.015
    assert errors[1] < 0.65 * errors[0]
    assert errors[2] < 0.65 * errors[1]


@pytest.mark.parametrize("name", ["chest", "portable_ap", "parallel"])
@pytest.mark.parametrize("view", NAMED_VIEWS)
def test_impulse_falls_on_the_pixel_that_the_geometry_says(name, view, blob):
    position = np.array([60.0, 30.0, 45.0])  # right, in front, above
    geometry, yaw = preset(name, 128), NAMED_VIEWS[view]
    scan = blob(tuple(position))
    picture = project(scan.mu, scan.affine, geometry, [yaw], ORIGIN)[0]
    rows, columns = np.meshgrid(np.arange(128), np.arange(128), indexing="ij")
    row, column = np.average(rows, weights=picture), np.average(columns, weights=picture)

    angle = np.deg2rad(yaw)
    along = position @ [-np.cos(angle), -np.sin(angle), 0]
    depth = geometry.sod_mm + position @ [-np.sin(angle), np.cos(angle), 0]  # from the source, along the beam
    scale = geometry.sdd_mm / depth if geometry.beam == "cone" else 1.0
    assert column == pytest.approx(63.5 + along * scale / geometry.pixel_mm, abs=0.05)
    assert row == pytest.approx(63.5 - position[2] * scale / geometry.pixel_mm, abs=0.05)


def test_named_views_look_as_a_radiographer_hangs_them(blob):
    """Right, anterior and superior landmarks, in halves of the picture."""
    right, front, top = (blob(p) for p in [(80, 0, 0), (0, 80, 0), (0, 0, 80)])
    geometry = preset(size=64)

    def column(scan, view):
        return project(scan.mu, scan.affine, geometry, [NAMED_VIEWS[view]], ORIGIN)[0].sum(0).argmax()

    assert column(right, "pa") < 20  # the patient's right on the left of the picture
    assert column(right, "ap") > 44
    assert column(front, "left_lateral") < 20
    assert column(front, "right_lateral") > 44
    assert project(top.mu, top.affine, geometry, [0], ORIGIN)[0].sum(1).argmax() < 20


def test_magnification_is_that_of_similar_triangles(blob):
    geometry = preset(size=256)

    def width(depth_mm):
        a, b = blob((60, depth_mm, 0)), blob((-60, depth_mm, 0))
        profile = project(a.mu + b.mu, a.affine, geometry, [0], ORIGIN)[0].sum(0)
        columns = np.arange(256)
        left, right = columns < 128, columns >= 128
        distance = np.average(columns[right], weights=profile[right]) - np.average(columns[left], weights=profile[left])
        return distance * geometry.pixel_mm / 120

    assert width(0) == pytest.approx(1800 / 1550, rel=2e-3)
    assert width(90) == pytest.approx(1800 / 1640, rel=2e-3)  # nearer the detector: smaller


def test_heart_is_wider_in_ap_than_in_pa():
    heart = Ellipsoid((-20, 60, 0), (60, 40, 50), 0.02)
    yaw = {"pa": (preset("chest", 256), 0), "ap": (preset("portable_ap", 256), 180)}
    widths = {}
    for name, (geometry, angle) in yaw.items():
        shadow = exact_views([heart], geometry, [angle], ORIGIN)[0].max(0) > 0
        widths[name] = shadow.sum() * geometry.pixel_mm
    assert widths["ap"] > 1.04 * widths["pa"]


def test_opposite_parallel_views_are_mirror_images(chest_scan):
    scan = chest_scan(64)
    left, right = project(scan.mu, scan.affine, preset("parallel", 64), [90, -90], ORIGIN)
    assert np.allclose(left, right[:, ::-1], atol=1e-4)


@pytest.mark.parametrize(("order", "flips"), [((0, 1, 2), (0, 1)), ((2, 0, 1), ()), ((1, 0, 2), (2,))])
def test_the_order_and_direction_of_the_voxels_do_not_matter(order, flips, chest_scan):
    scan, geometry = chest_scan(64), preset(size=48)
    mu, affine = scan.mu[:, 8:56, 4:], scan.affine @ _shift(0, 8, 4)
    expected = project(mu, affine, geometry, [-60, 0, 90], ORIGIN)
    for axis in flips:
        last = np.zeros(3)
        last[axis] = mu.shape[axis] - 1
        flip = _shift(*last)
        flip[axis, axis] = -1
        mu, affine = np.flip(mu, axis), affine @ flip
    mu = mu.transpose(order)
    affine = np.column_stack([affine[:, :3][:, list(order)], affine[:, 3]])
    assert np.allclose(project(mu, affine, geometry, [-60, 0, 90], ORIGIN), expected, atol=2e-5)


def test_anisotropic_voxels(chest_ellipsoids):
    shape, spacing = (96, 120, 64), np.array([4.0, 3.0, 6.0])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * spacing
    geometry = preset(size=64)
    exact = exact_views(chest_ellipsoids, geometry, [-70, 0, 40], ORIGIN)
    views = project(voxelise(chest_ellipsoids, shape, affine), affine, geometry, [-70, 0, 40], ORIGIN)
    assert np.linalg.norm(views - exact) < 0.03 * np.linalg.norm(exact)


def test_the_isocentre_is_where_it_is_said_to_be(chest_scan):
    scan, shift = chest_scan(32), np.array([12.0, -7.0, 30.0])
    moved = scan.affine.copy()
    moved[:3, 3] += shift
    geometry = preset(size=32)
    assert np.allclose(
        project(scan.mu, scan.affine, geometry, [25], ORIGIN), project(scan.mu, moved, geometry, [25], shift), atol=1e-4
    )


@pytest.mark.parametrize("backend", ["columns", "rays"])
def test_threads_change_nothing(backend, chest_scan):
    scan, yaw = chest_scan(32), [-90, -45, 0, 45, 90]
    one, four = (project(scan.mu, scan.affine, preset(size=32), yaw, ORIGIN, backend, threads=n) for n in (1, 4))
    assert np.array_equal(one, four)


def test_a_detector_that_misses_the_patient_is_empty(chest_scan):
    scan = chest_scan(32)
    assert not project(scan.mu, scan.affine, preset(size=16), [0], (0.0, 0.0, 900.0)).any()


def test_one_pixel_and_no_view():
    geometry = Geometry("pencil", "cone", 1000, 800, 1.0, 1)
    mu = np.full((8, 8, 8), 0.01, np.float32)
    affine = centred_affine(8, 80)
    assert project(mu, affine, geometry, [0], ORIGIN)[0, 0, 0] == pytest.approx(0.8)
    assert project(mu, affine, geometry, [], ORIGIN).shape == (0, 1, 1)


def test_bad_input_is_refused():
    geometry, mu = preset(size=8), np.zeros((4, 4, 4), np.float32)
    with pytest.raises(InputError, match="three axes"):
        project(mu[0], np.eye(4), geometry, [0], ORIGIN)
    with pytest.raises(InputError, match="singular"):
        project(mu, np.diag([1.0, 0, 1, 1]), geometry, [0], ORIGIN)
    oblique = np.eye(4)
    oblique[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    with pytest.raises(InputError, match="oblique to the body axes"):
        project(mu, oblique, geometry, [0], ORIGIN, backend="columns")
    with pytest.raises(InputError, match="pitch or roll"):
        project(mu, np.eye(4), geometry, [Pose(0, 5)], ORIGIN, backend="columns")
    with pytest.raises(InputError, match="cone beam"):
        project(mu, np.eye(4), geometry, [0], ORIGIN, backend="sparse")
    with pytest.raises(InputError, match="not finite"):
        project(np.where(mu == 0, np.nan, mu), np.eye(4), geometry, [0], ORIGIN)
    with pytest.raises(InputError, match="isocentre"):
        project(mu, np.eye(4), geometry, [0], (0.0, 0.0))
    for poses in (["left"], "3", None, [np.nan], [(0.0, 1.0)]):
        with pytest.raises(InputError, match="pose"):
            project(mu, np.eye(4), geometry, poses, ORIGIN)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no projector"):
        project(mu, np.eye(4), geometry, [0], ORIGIN, backend="cuda")  # type: ignore[arg-type]


def _shift(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix
