"""The loss of the sampler is the energy score, least for the right spread, and the temperature finds that spread."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.statistics import ensembles
from xray2xray.training.objectives.sampler import _best_temperature, energy_score
from xray2xray.training.train import train


def test_it_is_the_score_that_evaluation_uses() -> None:
    samples, truth = torch.randn(6, 5), torch.randn(5)
    expected = ensembles.energy_score(samples.numpy(), truth.numpy())
    assert float(energy_score(samples, truth)) == pytest.approx(expected, rel=1e-4)
    one_by_one = energy_score(samples[..., None], truth[..., None])
    assert one_by_one.numpy() == pytest.approx(ensembles.crps(samples.numpy(), truth.numpy()), abs=1e-4)


def test_the_right_spread_has_the_least_loss() -> None:
    torch.manual_seed(0)
    truth, noise = torch.randn(20_000, 8), torch.randn(2, 20_000, 8)
    losses = {sd: float(energy_score(sd * noise, truth).mean()) for sd in (0.0, 0.5, 1.0, 1.5)}
    assert min(losses, key=losses.__getitem__) == 1.0


def test_equal_samples_have_a_gradient() -> None:
    samples = torch.zeros(2, 3, requires_grad=True)
    energy_score(samples, torch.ones(3)).backward()
    assert torch.isfinite(samples.grad).all()


def test_the_temperature_makes_narrow_samples_fit() -> None:
    torch.manual_seed(0)
    mean, shape = torch.randn(4, 2, 1, 64, 64), (4, 2, 1, 64, 64)
    truth = mean + torch.randn(shape)
    assert _best_temperature(mean, mean + torch.randn(8, *shape) / 1.6, truth) == pytest.approx(1.6, abs=0.1)


def test_a_sampler_needs_a_direct_form(store, recipe, tmp_path) -> None:
    train(store, tmp_path, "vision", recipe=recipe, precision="32-true")
    with pytest.raises(InputError, match="no trained direct"):
        train(store, tmp_path, "sampler", recipe=recipe, precision="32-true")
    assert np.all([path.name != "sampler.safetensors" for path in (tmp_path / "model").iterdir()])
