"""The layer predicts what the model predicts, and its gradient is the slope of what it predicts."""

import copy

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError, UsageError
from xray2xray.models.view_predictor import ViewPredictor
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import Pose

POSES = [0.0, 35.0, Pose(-80.0, 5.0, 3.0)]


def views(size: int = 32) -> torch.Tensor:
    row, column = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    return torch.stack([4 * torch.exp(-5 * (row**2 + (column - x) ** 2)) for x in (0.1, -0.2)])


@pytest.mark.parametrize("size", [32, 64])
def test_views_are_those_of_the_model(small_volumetric: WorldModel, size: int) -> None:
    found = ViewPredictor(small_volumetric, POSES)(views(size))
    expected = small_volumetric.imagine(views(size).numpy(), yaw_deg=POSES)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_the_gradient_is_the_slope(small_volumetric: WorldModel) -> None:
    """Central differences along a smooth direction, to both the view and the weights."""
    layer = ViewPredictor(small_volumetric, POSES)
    weight = torch.linspace(0.5, 1.5, 32)
    view_p, direction = views().requires_grad_(True), torch.cos(3 * views())

    def loss(given: torch.Tensor) -> torch.Tensor:
        return (layer(given) * weight).square().mean()

    (gradient,) = torch.autograd.grad(loss(view_p), view_p)
    step = 1e-2
    with torch.no_grad():
        slope = (loss(view_p + step * direction) - loss(view_p - step * direction)) / (2 * step)
    assert abs(slope) > 1e-3
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-2, atol=0)


def test_weights_have_gradients_when_asked(small_volumetric: WorldModel) -> None:
    layer = ViewPredictor(small_volumetric, [60.0])
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    out = small_volumetric.transition.network.out.weight.requires_grad_(True)  # type: ignore[union-attr]
    try:
        (gradient,) = torch.autograd.grad(layer(views()).sum(), out)
    finally:
        out.requires_grad_(False)
    assert gradient.abs().max() > 0


def test_direct_has_gradients_and_tokens_have_none(small_models: dict[str, WorldModel]) -> None:
    view_p = views(16).requires_grad_(True)
    predicted = ViewPredictor(small_models["direct"], [30.0])(view_p)
    np.testing.assert_allclose(
        predicted.detach().numpy(), small_models["direct"].imagine(views(16).numpy(), yaw_deg=[30.0]), atol=1e-5
    )
    assert torch.autograd.grad(predicted.sum(), view_p)[0].abs().max() > 0
    with pytest.raises(UsageError, match="no gradient"):
        ViewPredictor(small_models["autoregressive"], [5.0])(view_p)


def test_on_a_gpu_it_is_the_same(small_volumetric: WorldModel, cuda: str) -> None:
    layer = copy.deepcopy(ViewPredictor(small_volumetric, POSES))
    found = []
    for device in ("cpu", cuda):
        view_p = views().to(device).requires_grad_(True)
        predicted = layer.to(device)(view_p)
        assert predicted.device == view_p.device
        found.append((predicted.detach().cpu(), torch.autograd.grad(predicted.square().sum(), view_p)[0].cpu()))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-2, rtol=1e-2)


def test_other_input_is_refused(small_volumetric: WorldModel) -> None:
    for wrong in (torch.zeros(32, 32), torch.zeros(1, 30, 30), torch.zeros(1, 32, 32, dtype=torch.int32)):
        with pytest.raises(InputError, match="floating-point"):
            ViewPredictor(small_volumetric)(wrong)
    with pytest.raises(UsageError, match="PA view"):
        ViewPredictor(small_volumetric, input_yaw_deg=90.0)(views())
