"""The fast kernels inside a torch graph: values of `project`, gradients of the reference."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.projection.differentiable import backproject_tensor, project_tensor
from xray2xray.projection.forward import backproject, project
from xray2xray.projection.geometry import Pose, preset
from xray2xray.projection.reference import pose_tensor

AFFINE = np.array([[0, -9.0, 0, 90], [8.0, 0, 0, -60], [0, 0, 10.0, -100], [0, 0, 0, 1]])
SHAPE = (16, 20, 18)
CASES = [
    ("columns", "chest", [0.0, 50.0]),
    ("rays", "chest", [Pose(10, 20, -5), Pose(-90, 0, 0, (5, 5, 5))]),
    ("sparse", "parallel", [-30.0, 90.0]),
]


def _random(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("backend", "beam", "poses"), CASES)
def test_gradient_is_that_of_the_reference(backend, beam, poses):
    geometry, target = preset(beam, 12), _random(2, 12, 12)
    gradients = []
    for chosen in (backend, "torch"):
        mu = _random(*SHAPE).requires_grad_(True)
        loss = torch.sum((project_tensor(mu, AFFINE, geometry, poses, backend=chosen) - target) ** 2)
        gradients.append(torch.autograd.grad(loss, mu)[0])
    assert torch.allclose(gradients[0], gradients[1], atol=1e-4 * float(gradients[1].abs().max()))


@pytest.mark.parametrize(("backend", "beam", "poses"), CASES)
def test_a_gradient_can_be_differentiated_again(backend, beam, poses):
    """|A x|^2 / 2 has the gradient A^T A x, and that the derivative A^T A v along v."""
    geometry = preset(beam, 12)
    x, v = _random(*SHAPE).requires_grad_(True), _random(*SHAPE).flip(0)
    loss = project_tensor(x, AFFINE, geometry, poses, backend=backend).square().sum() / 2
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    (second,) = torch.autograd.grad((gradient * v).sum(), x)
    expected = backproject(
        project(v.numpy(), AFFINE, geometry, poses, backend=backend), SHAPE, AFFINE, geometry, poses, backend=backend
    )
    assert np.allclose(second, expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_backproject_tensor_and_its_gradient():
    geometry, yaw = preset(size=12), [0.0, 60.0]
    views, weight = _random(2, 12, 12).requires_grad_(True), _random(*SHAPE)
    volume = backproject_tensor(views, SHAPE, AFFINE, geometry, yaw)
    assert np.allclose(volume.detach(), backproject(views.detach().numpy(), SHAPE, AFFINE, geometry, yaw))
    (gradient,) = torch.autograd.grad((volume * weight).sum(), views)
    assert np.allclose(gradient, project(weight.numpy(), AFFINE, geometry, yaw), rtol=1e-5)


def test_auto_goes_to_torch_where_only_torch_can_serve():
    """Gradients to the pose, and float64 in full."""
    geometry = preset(size=6)
    poses = pose_tensor([Pose(20, 3, 1)]).requires_grad_(True)
    project_tensor(_random(*SHAPE), AFFINE, geometry, poses).sum().backward()
    assert poses.grad is not None
    assert poses.grad.abs().min() > 0
    double = project_tensor(_random(*SHAPE).double(), AFFINE, geometry, [20.0])
    assert double.dtype == torch.float64
    single = project_tensor(_random(*SHAPE), AFFINE, geometry, [20.0])
    assert single.dtype == torch.float32
    assert torch.allclose(double.float(), single, rtol=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="cone beam"):
        project_tensor(_random(*SHAPE), AFFINE, preset(size=6), [0.0], backend="sparse")
    with pytest.raises(InputError, match="three axes"):
        project_tensor(_random(4, 4), AFFINE, preset(size=6), [0.0])
