"""The torch projector: equal to the fast one, right for tilted poses and oblique grids, and differentiable."""

import numpy as np
import pytest
import torch

from xray2xray.projection.differentiable import project_tensor
from xray2xray.projection.ellipsoids import Ellipsoid, exact_views, voxelise
from xray2xray.projection.forward import project
from xray2xray.projection.geometry import Pose, preset
from xray2xray.reconstruction.reconstruct import centred_affine

ORIGIN = (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "backend"),
    [("parallel", "sparse"), *[(name, b) for name in ("chest", "x2ct", "parallel") for b in ("columns", "rays")]],
)
@pytest.mark.parametrize("size", [1, 20, 64, 150])  # pixels from far coarser than voxels to far finer
def test_every_backend_agrees(name, backend, size, chest_scan):
    scan, geometry, yaw = chest_scan(64), preset(name, size), [-90.0, -45.0, 0.0, 30.0, Pose(180, 0, 0, (9, -20, 15))]
    fast = project(scan.mu, scan.affine, geometry, yaw, ORIGIN, backend=backend)
    reference = project(scan.mu, scan.affine, geometry, yaw, ORIGIN, backend="torch")
    assert np.abs(fast - reference).max() < 1e-4 * reference.max()


def test_agree_on_noise_that_leaves_the_field():
    rng = np.random.default_rng(2)
    mu = rng.random((90, 70, 80)).astype(np.float32)
    affine = np.array([[-6.0, 0, 0, 280], [0, 7.0, 0, -240], [0, 0, 5.5, -230], [0, 0, 0, 1]])
    views = {
        backend: project(mu, affine, preset("xwin", 48), [-75, -45, 3, 100], (5, 6, 7), backend=backend)
        for backend in ("columns", "rays", "torch")
    }
    for fast in (views["columns"], views["rays"]):
        assert np.abs(fast - views["torch"]).max() < 1e-4 * views["torch"].max()


@pytest.mark.parametrize(
    "pose", [Pose(20, 15, 10), Pose(-70, -25, 0, (10, -20, 30)), Pose(0, 80), Pose(45, 0, 60, (0, 5, 0))]
)
def test_tilted_poses_agree_with_exact_ellipsoids(pose, chest_scan, chest_ellipsoids):
    scan, geometry = chest_scan(64), preset(size=48)
    view = project_tensor(torch.from_numpy(scan.mu), scan.affine, geometry, [pose], ORIGIN, "torch")[0].numpy()
    exact = exact_views(chest_ellipsoids, geometry, [pose], ORIGIN)[0]
    assert np.linalg.norm(view - exact) < 0.04 * np.linalg.norm(exact)
    fast = project(scan.mu, scan.affine, geometry, [pose], ORIGIN)[0]  # auto: rays
    assert np.abs(fast - view).max() < 1e-4 * view.max()


def test_an_oblique_grid_shows_the_same_patient(chest_scan, chest_ellipsoids):
    turn = np.eye(4)
    turn[:3, :3] = Pose(12, 8, -5).rotation
    affine = turn @ centred_affine(64, 384.0)
    mu = voxelise(chest_ellipsoids, (64, 64, 64), affine)
    straight, geometry = chest_scan(64), preset(size=48)
    views = project(mu, affine, geometry, [-40, 0, 90], ORIGIN)  # auto: rays
    expected = project(straight.mu, straight.affine, geometry, [-40, 0, 90], ORIGIN)
    assert np.linalg.norm(views - expected) < 0.03 * np.linalg.norm(expected)


def test_gradients_to_volume_and_pose():
    """Against finite differences in float64; the quadrature is piecewise smooth, and this seed is on no kink."""
    generator = torch.Generator().manual_seed(3)
    mu = torch.rand(5, 6, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    poses = torch.tensor([[23.0, 4.0, -7.0, 1.0, 2.0, -3.0], [-71.0, 0.0, 3.0, 0.0, 0.3, 0.0]], dtype=torch.float64)
    poses.requires_grad_(True)
    affine = np.diag([30.0, 25.0, 40.0, 1.0])
    affine[:3, 3] = [-60, -62, -60]

    def view(mu, poses):
        return project_tensor(mu, affine, preset(size=5), poses, (1.0, 2.0, 3.0))

    assert torch.autograd.gradcheck(view, (mu, poses), eps=1e-6, atol=1e-6)


def test_pose_is_found_by_following_the_gradient():
    affine = centred_affine(20, 320)
    blobs = [Ellipsoid((40, 30, 20), (50, 40, 60), 0.01), Ellipsoid((-50, -20, -30), (40, 30, 30), 0.015)]
    mu = torch.from_numpy(voxelise(blobs, (20, 20, 20), affine))
    geometry = preset(size=14)
    target = project_tensor(mu, affine, geometry, [12.0], ORIGIN)
    yaw = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([yaw], max_iter=8, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        pose = torch.cat([yaw[None], yaw.new_zeros(5)])[None]
        difference = torch.mean((project_tensor(mu, affine, geometry, pose, ORIGIN) - target) ** 2)
        difference.backward()
        return difference

    optimiser.step(loss)
    assert yaw.item() == pytest.approx(12, abs=0.5)
