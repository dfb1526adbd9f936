import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.geometry import (
    NAMED_VIEWS,
    PRESETS,
    STANDARD_ARC,
    Geometry,
    Pose,
    preset,
    rays_mm,
    source_mm,
)
from xray2xray.projection.reference import pose_rays, pose_tensor


def test_the_standard_arc_has_37_views_with_the_frontal_in_the_middle():
    assert len(STANDARD_ARC) == 37
    assert STANDARD_ARC[18] == 0
    assert np.allclose(np.diff(STANDARD_ARC), 5)


@pytest.mark.parametrize(
    ("view", "direction"),
    [
        ("pa", (0, -1, 0)),  # behind the patient
        ("left_lateral", (1, 0, 0)),  # on the patient's right
        ("right_lateral", (-1, 0, 0)),
        ("ap", (0, 1, 0)),
        ("left_anterior_oblique", (np.sqrt(0.5), -np.sqrt(0.5), 0)),  # left front nearest the detector
    ],
)
def test_source_stands_where_the_view_is_named_after(view: str, direction: tuple[float, float, float]):
    geometry = preset()
    assert np.allclose(source_mm(geometry, NAMED_VIEWS[view]), geometry.sod_mm * np.array(direction))


@pytest.mark.parametrize("yaw", [-90, -35, 0, 90, 180])
@pytest.mark.parametrize("name", PRESETS)
def test_detector_faces_the_source_at_its_distance(name: str, yaw: float):
    geometry = preset(name, size=8)
    _, pixels = rays_mm(geometry, yaw)
    towards = source_mm(geometry, yaw) / geometry.sod_mm
    assert np.allclose((source_mm(geometry, yaw) - pixels) @ towards, geometry.sdd_mm)
    assert np.allclose(pixels.mean((0, 1)), -towards * (geometry.sdd_mm - geometry.sod_mm))
    step = geometry.detector_mm / 8
    angle = np.deg2rad(yaw)
    assert np.allclose(pixels[:, 1:] - pixels[:, :-1], step * np.array([-np.cos(angle), -np.sin(angle), 0]))
    assert np.allclose(pixels[1:] - pixels[:-1], [0, 0, -step])


@pytest.mark.parametrize("name", ["chest", "parallel"])
def test_posed_rays_at_a_bare_yaw_are_those_of_the_view(name: str):
    geometry = preset(name, size=6)
    for yaw in (-90.0, 20.0, 180.0):
        starts, ends = rays_mm(geometry, yaw)
        posed_starts, posed_ends = pose_rays(geometry, pose_tensor([yaw]))
        assert np.allclose(posed_starts[0], starts)
        assert np.allclose(posed_ends[0], ends)


def test_pitch_lifts_the_source_and_translation_shifts_the_set():
    geometry = preset(size=4)
    starts, _ = pose_rays(geometry, pose_tensor([Pose(90, pitch_deg=30, translation_mm=(1, 2, 3))]))
    expected = np.array([np.cos(np.pi / 6), 0, np.sin(np.pi / 6)]) * geometry.sod_mm + [1, 2, 3]
    assert np.allclose(starts[0, 0, 0], expected)


def test_roll_turns_the_picture_about_the_beam():
    geometry = preset(size=4)
    plain = pose_rays(geometry, pose_tensor([0.0]))[1][0]
    turned = pose_rays(geometry, pose_tensor([Pose(0, roll_deg=90)]))[1][0]
    assert np.allclose(turned, plain.flip(0).transpose(0, 1))


@pytest.mark.parametrize("name", ["chest", "parallel"])
def test_rays_of_a_pose_are_those_of_the_reference(name: str):
    geometry, pose = preset(name, size=5), Pose(-40, 12, 25, (3.0, -8.0, 1.0))
    for ours, reference in zip(rays_mm(geometry, pose), pose_rays(geometry, pose_tensor([pose]))):
        assert np.allclose(ours, reference[0])


def test_magnification_and_field():
    chest = preset("chest")
    assert chest.magnification == pytest.approx(1800 / 1550)
    assert chest.pixel_mm == pytest.approx(430 / 128)
    assert preset("parallel").magnification == 1
    for name in ("xwin", "x2ct", "parallel"):
        assert preset(name).field_mm == pytest.approx(chest.field_mm, rel=0.01)


def test_impossible_geometries_are_refused():
    with pytest.raises(InputError, match="choose one of chest"):
        preset("dental")
    with pytest.raises(InputError, match="SDD >= SOD"):
        Geometry("inside out", "cone", 500, 700, 400, 64)
    with pytest.raises(InputError, match="'cone' or 'parallel'"):
        Geometry("fan", "fan", 900, 700, 400, 64)  # type: ignore[arg-type]
