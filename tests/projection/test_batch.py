"""Batches of volumes and poses: every patient as alone, the exact transpose, gradients to everything."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.projection import reference
from xray2xray.projection.differentiable import backproject_tensor, project_tensor
from xray2xray.projection.geometry import preset
from xray2xray.projection.reference import pose_tensor

AFFINE = np.array([[0, -9.0, 0, 90], [8.0, 0, 0, -60], [0, 0, 10.0, -100], [0, 0, 0, 1]])
SHAPE = (14, 16, 12)
ISOCENTRE = (4.0, -3.0, 9.0)
UPRIGHT = torch.tensor([[0.0, 0, 0, 0, 0, 0], [50.0, 0, 0, 5, -8, 3]], dtype=torch.float64)
TILTED = torch.tensor([[20.0, 15, 10, 0, 0, 0], [-70.0, -60, 0, 10, -20, 30]], dtype=torch.float64)
MIXED = torch.stack([UPRIGHT, TILTED, torch.cat([TILTED[:1], UPRIGHT[1:]])])  # (3, 2, 6)
CASES = [("auto", MIXED), ("rays", MIXED), ("torch", MIXED), ("columns", UPRIGHT), ("torch", TILTED)]
GEOMETRY = preset(size=10)


def _random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)), dtype=dtype)


def _project(mu, poses, backend="auto", **more):
    return project_tensor(mu, AFFINE, GEOMETRY, poses, ISOCENTRE, backend, **more)


def _backproject(views, poses, backend="auto", **more):
    return backproject_tensor(views, SHAPE, AFFINE, GEOMETRY, poses, ISOCENTRE, backend, **more)


@pytest.mark.parametrize(("backend", "poses"), CASES)
@pytest.mark.parametrize("threads", [1, 2, 9])
def test_a_batch_is_its_patients_one_by_one(backend, poses, threads):
    mu, y = _random(3, 2, *SHAPE), _random(3, 2, 2, 10, 10)
    views, volumes = _project(mu, poses, backend, threads=threads), _backproject(y, poses, backend, threads=threads)
    assert views.shape == (3, 2, 2, 10, 10)
    assert volumes.shape == mu.shape
    for i, own in enumerate(poses if poses.ndim == 3 else [poses] * 3):
        for j in range(2):
            assert torch.allclose(views[i, j], _project(mu[i, j], own, backend), rtol=1e-5)
            assert torch.allclose(volumes[i, j], _backproject(y[i, j], own, backend), rtol=1e-4, atol=1e-4)


def test_backends_agree_on_upright_and_tilted_poses_in_one_batch():
    mu = _random(3, 1, *SHAPE)
    fast, reference_views = _project(mu, MIXED), _project(mu, MIXED, "torch")
    assert (fast - reference_views).abs().max() < 1e-4 * reference_views.max()


@pytest.mark.parametrize(("backend", "poses"), CASES)
def test_the_transpose_is_exact_and_is_the_gradient(backend, poses):
    x, y = _random(3, 2, *SHAPE).requires_grad_(True), _random(3, 2, 2, 10, 10)
    views, volumes = _project(x, poses, backend), _backproject(y, poses, backend)
    forward, backward = (views.double() * y.double()).sum(), (x.double() * volumes.double()).sum()
    assert abs(forward - backward) < 1e-6 * forward
    (gradient,) = torch.autograd.grad((views * y).sum(), x)
    assert torch.allclose(gradient, volumes, rtol=1e-5, atol=1e-5 * float(volumes.max()))


@pytest.mark.parametrize(("backend", "poses"), CASES)
def test_a_gradient_can_be_differentiated_again(backend, poses):
    """|A x|^2 / 2 has the gradient A^T A x, and that the derivative A^T A v along v."""
    x, v = _random(3, 1, *SHAPE).requires_grad_(True), _random(3, 1, *SHAPE).flip(2)
    (gradient,) = torch.autograd.grad(_project(x, poses, backend).square().sum() / 2, x, create_graph=True)
    (second,) = torch.autograd.grad((gradient * v).sum(), x)
    expected = _backproject(_project(v, poses, backend), poses, backend)
    assert torch.allclose(second, expected, rtol=1e-4, atol=1e-5 * float(expected.max()))


def test_gradients_to_volumes_views_and_poses_in_float64():
    """Against finite differences, once and twice; these poses are on no kink of the piecewise smooth quadrature."""
    affine, geometry, shape = np.diag([30.0, 25.0, 40.0, 1.0]), preset(size=3), (4, 5, 3)
    affine[:3, 3] = [-45, -50, -40]
    poses = torch.tensor([[[23.0, 4.0, -7.0, 1.0, 2.0, -3.0]], [[-71.0, 1.0, 3.0, 2.0, 0.3, 1.0]]], dtype=torch.float64)
    poses.requires_grad_(True)
    mu, y = (_random(2, 1, *size, dtype=torch.float64).requires_grad_(True) for size in (shape, (1, 3, 3)))

    def forward(mu, poses):
        return project_tensor(mu, affine, geometry, poses)

    def transpose(y, poses):
        return backproject_tensor(y, shape, affine, geometry, poses)

    assert torch.autograd.gradcheck(forward, (mu, poses), atol=1e-6)
    assert torch.autograd.gradcheck(transpose, (y, poses), atol=1e-6)
    assert torch.autograd.gradgradcheck(forward, (mu, poses), atol=1e-6)


def test_pieces_of_a_bounded_size_change_nothing(monkeypatch):
    mu = _random(3, 2, *SHAPE).requires_grad_(True)
    results = []
    for at_once in (1 << 22, 1000):
        monkeypatch.setattr(reference, "_SAMPLES_AT_ONCE", at_once)
        views = _project(mu, MIXED, "torch")
        results.append((views.detach(), *torch.autograd.grad(views.square().sum(), mu)))
    for whole, pieces in zip(*results, strict=True):
        assert torch.allclose(whole, pieces, rtol=1e-5)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_half_precision_loses_no_more_than_its_own_rounding(backend):
    """The rays are followed and added up in more than bfloat16; only what comes in and goes out is rounded."""
    mu = _random(1, 1, *SHAPE).bfloat16()
    views = _project(mu, MIXED[:1], backend)
    assert views.dtype == torch.bfloat16
    assert torch.allclose(views.float(), _project(mu.float(), MIXED[:1], backend), rtol=2**-8)


@pytest.mark.parametrize("backend", ["auto", "torch"])
@pytest.mark.parametrize(("batch", "count"), [(0, 2), (2, 0), (0, 0)])
def test_no_patient_and_no_view(backend, batch, count):
    mu, poses = torch.ones(batch, 1, *SHAPE, requires_grad=True), torch.zeros(batch, count, 6)
    views = _project(mu, poses, backend)
    assert views.shape == (batch, 1, count, 10, 10)
    volumes = _backproject(views.detach(), poses, backend)
    assert volumes.shape == mu.shape
    assert not volumes.any()
    assert not torch.autograd.grad(views.sum(), mu)[0].any()


def test_a_translation_is_an_isocentre_of_its_own():
    mu = _random(2, 1, *SHAPE)
    poses = pose_tensor([0.0, 60.0]).repeat(2, 1, 1)
    poses[1, :, 3:] = torch.tensor([12.0, -7.0, 30.0])
    moved = np.add(ISOCENTRE, [12.0, -7.0, 30.0])
    expected = project_tensor(mu[1, 0], AFFINE, GEOMETRY, [0.0, 60.0], moved)
    assert torch.allclose(_project(mu, poses)[1, 0], expected, rtol=1e-4)


def test_bad_batches_are_refused():
    mu = torch.zeros(3, 1, *SHAPE)
    for poses in (MIXED[:2], MIXED[..., :5], MIXED[None]):
        with pytest.raises(InputError, match="batch of 3 needs poses"):
            _project(mu, poses)
    with pytest.raises(InputError, match="three axes"):
        _project(mu[:, 0], MIXED)
    with pytest.raises(InputError, match="no gradients to poses"):
        _project(mu, MIXED.clone().requires_grad_(True), "rays")
    with pytest.raises(InputError, match="need as many views"):
        _backproject(torch.zeros(3, 1, 2, 9, 10), MIXED, "torch")
    with pytest.raises(InputError, match="pitch or roll"):
        _project(mu, MIXED, "columns")
    with pytest.raises(InputError, match="not finite"):
        _project(mu + torch.nan, MIXED)
