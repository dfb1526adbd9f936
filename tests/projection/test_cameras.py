"""The same X-ray set as a pinhole camera: rays by hand, and other renderers' views of one volume."""

from typing import Any

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.projection import Pose, preset, project
from xray2xray.projection.cameras import camera_to_world, diffdrr_pose, pose_of_camera
from xray2xray.projection.geometry import rays_mm

GEOMETRY = preset("chest", 48)
POSES = [Pose(0.0), Pose(90.0), Pose(-35.0, 12.0, -5.0, (10.0, -20.0, 30.0)), Pose(170.0, -8.0, 3.0)]
ISOCENTRE = (5.0, -7.0, 11.0)
SHAPE, VOXEL_MM = (40, 36, 44), 8.0


def volume() -> tuple[np.ndarray, np.ndarray]:
    """A soft chest without symmetry, the middle of its grid at the origin."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    blobs = ((-0.3, 0.1, 0.2, 0.3), (0.4, -0.2, -0.4, 0.2), (0.1, 0.4, 0.5, 0.15))
    mu = sum(0.02 * np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / r**2) for a, b, c, r in blobs)
    affine = np.diag([VOXEL_MM] * 3 + [1.0])
    affine[:3, 3] = -(np.array(SHAPE) - 1) / 2 * VOXEL_MM
    return np.asarray(mu, np.float32), affine


@pytest.mark.parametrize("pose", POSES)
def test_pixels_of_the_camera_are_those_of_the_detector(pose: Pose) -> None:
    source, pixels = rays_mm(GEOMETRY, pose)
    offsets = GEOMETRY.offsets_mm
    across, down = np.meshgrid(offsets, offsets)
    camera = np.stack([across, down, np.full_like(down, GEOMETRY.sdd_mm), np.ones_like(down)])
    matrix = camera_to_world(GEOMETRY, pose, ISOCENTRE)
    world = np.einsum("ij,jrc->rci", matrix, camera)[..., :3] - ISOCENTRE
    np.testing.assert_allclose(world, np.broadcast_to(pixels, world.shape), atol=1e-6)
    np.testing.assert_allclose(matrix[:3, 3] - ISOCENTRE, np.reshape(source, (-1, 3))[0], atol=1e-6)


@pytest.mark.parametrize("pose", POSES)
def test_a_camera_tells_its_pose(pose: Pose) -> None:
    found = pose_of_camera(GEOMETRY, camera_to_world(GEOMETRY, pose, ISOCENTRE), ISOCENTRE)
    np.testing.assert_allclose(found.parameters, pose.parameters, atol=1e-6)


def test_what_is_no_camera_is_refused() -> None:
    with pytest.raises(InputError, match="parallel"):
        camera_to_world(preset("parallel", 16), 0.0)
    with pytest.raises(InputError, match="mirrored"):
        pose_of_camera(GEOMETRY, camera_to_world(GEOMETRY, 0.0) @ np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(InputError, match="rotation"):
        pose_of_camera(GEOMETRY, 2 * np.eye(4))


@pytest.mark.parametrize("pose", POSES)
def test_nanodrr_renders_the_same_view(pose: Pose) -> None:
    pytest.importorskip("nanodrr", reason="nanodrr is not installed; it is in the extra [dev]")
    from nanodrr.camera import make_k_inv
    from nanodrr.data import Subject
    from nanodrr.drr import render

    mu, affine = volume()
    to_grid = torch.diag(torch.tensor([*(2 / n for n in SHAPE), 1.0]))
    to_grid[:3, 3] = torch.tensor([1 / n - 1 for n in SHAPE])
    image, inverse = torch.from_numpy(mu.transpose(2, 1, 0).copy())[None, None], np.linalg.inv(affine)
    subject = Subject(
        image, torch.zeros_like(image), torch.from_numpy(affine).float(), torch.from_numpy(inverse).float(), to_grid,
        torch.zeros(3), max_label=0, convert_to_mu=False,
    )  # fmt: skip
    size, pixel = GEOMETRY.size, GEOMETRY.pixel_mm
    k_inv = make_k_inv(GEOMETRY.sdd_mm, pixel, pixel, 0.0, 0.0, size, size)
    matrix = torch.from_numpy(camera_to_world(GEOMETRY, pose, ISOCENTRE)).float()[None]
    theirs = render(subject, k_inv, matrix, torch.tensor([GEOMETRY.sdd_mm]), size, size, n_samples=200, backend="torch")
    assert_same(theirs[0, 0].numpy(), pose)


@pytest.mark.parametrize("orientation", [None, "AP"])
def test_diffdrr_renders_the_same_view(orientation: str | None) -> None:
    pytest.importorskip("diffdrr", reason="diffdrr, which needs pyvista and Jupyter, is not installed")
    from diffdrr.data import read
    from diffdrr.drr import DRR
    from diffdrr.pose import RigidTransform
    from torchio import ScalarImage

    mu, affine = volume()
    image = ScalarImage(tensor=torch.from_numpy(mu)[None], affine=affine)
    subject: Any = read(image, orientation=orientation, center_volume=False)
    subject.density = image
    drr = DRR(subject, GEOMETRY.sdd_mm, GEOMETRY.size, GEOMETRY.pixel_mm, reverse_x_axis=True, renderer="trilinear")
    for pose in POSES:
        matrix = diffdrr_pose(GEOMETRY, pose, subject.reorient.numpy(), ISOCENTRE)
        assert_same(drr(RigidTransform(torch.from_numpy(matrix).float()[None]), n_points=400)[0, 0].numpy(), pose)


def assert_same(theirs: np.ndarray, pose: Pose) -> None:
    mu, affine = volume()
    ours = project(mu, affine, GEOMETRY, [pose], ISOCENTRE)[0]
    assert ours.max() > 0.5
    np.testing.assert_allclose(theirs, ours, atol=0.01 * ours.max())
