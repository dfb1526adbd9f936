"""A cohort of soft ellipsoids whose views are known in closed form: quick, smooth and really patient-dependent."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch

from xray2xray.models.transitions import (
    AutoregressiveConfig,
    AutoregressiveTransition,
    DirectConfig,
    DirectSampler,
    DirectTransition,
    SamplerConfig,
)
from xray2xray.models.transitions.deviations import deviations_of
from xray2xray.models.transitions.residual_bank import ResidualBank
from xray2xray.models.transitions.volumetric import VolumetricConfig, VolumetricTransition
from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC

EllipsoidViews = Callable[..., np.ndarray]


def _ellipsoid_views(seeds: Iterable[int], size: int = 16) -> np.ndarray:
    """Parallel projections p of one centred ellipsoid for each seed, float32 (n, 37, size, size)."""
    angle = np.deg2rad(np.array(STANDARD_ARC))
    axis = np.linspace(-1, 1, size)
    cases = []
    for seed in seeds:
        a, b, c = np.random.default_rng(seed).uniform(0.4, 0.95, 3)
        width = np.sqrt((a * np.cos(angle)) ** 2 + (b * np.sin(angle)) ** 2)[:, None, None]
        inside = 1 - (axis[None, None, :] / width) ** 2 - (axis[None, :, None] / c) ** 2
        cases.append(8 * a * b / width * np.sqrt(np.clip(inside, 0, None)))
    return np.stack(cases).astype(np.float32)


@pytest.fixture(scope="session")
def ellipsoid_views() -> EllipsoidViews:
    return _ellipsoid_views


@pytest.fixture(scope="session")
def small_models() -> dict[str, WorldModel]:
    """Both forms of a world model of 16 pixels that has learned nothing, but depends on its input and its action."""
    torch.manual_seed(0)
    vision = VisionModel(
        VisionConfig(size=16, widths=(8, 16), blocks=(1, 1), head_width=8, latent_dim=8, codebook_size=32)
    )
    direct = DirectTransition(
        DirectConfig(tokens=4, latent_dim=8, dim=32, heads=4, trunk=1, head=1, condition_dim=16, prior_inputs=4)
    )
    torch.nn.init.normal_(direct.out.weight, std=0.3)  # zero at first, so that training starts from the linear prior
    for weight in [*direct.trunk.parameters(), *direct.head.parameters()]:
        if weight.abs().max() == 0:
            torch.nn.init.normal_(weight, std=0.3)
    gpt = AutoregressiveTransition(AutoregressiveConfig(tokens=4, codebook_size=32, dim=32, heads=4, layers=1))
    torch.nn.init.normal_(gpt.direction.weight)
    return {"direct": WorldModel(vision, direct), "autoregressive": WorldModel(vision, gpt)}


@pytest.fixture(scope="session")
def sampled_model(small_models: dict[str, WorldModel]) -> WorldModel:
    """The small direct form with a sampler whose spread is arbitrary."""
    torch.manual_seed(1)
    sampler = DirectSampler(SamplerConfig(4, 8, hidden=32, dim=16, heads=2, blocks=1, noise=4, outputs=8))
    torch.nn.init.normal_(sampler.spread.loadings)
    torch.nn.init.normal_(sampler.spread.basis)
    model = small_models["direct"]
    return WorldModel(model.vision, model.transition, sampler=sampler)


@pytest.fixture(scope="session")
def small_volumetric() -> WorldModel:
    """A volumetric form of 32 pixels, of random weights, whose mean chest is a ball."""
    torch.manual_seed(0)
    config = VolumetricConfig(size=32, depth=32, widths=(8, 16, 16, 16), heads=2, donors=2, deviations=3)
    vision = VisionModel(
        VisionConfig(size=32, widths=(8, 16), blocks=(1, 1), head_width=8, latent_dim=8, codebook_size=32)
    )
    form = VolumetricTransition(config)
    for parameter in form.network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    k, i, j = np.meshgrid(*(np.linspace(-1, 1, n) for n in config.frustum.shape), indexing="ij")
    ball = (0.3 * np.exp(-8 * (k**2 + i**2 + j**2))).astype(np.float32)
    form.network.set_mean(torch.from_numpy(ball))
    detail = ball * np.cos(9 * np.stack([k, j])).astype(np.float32)
    form.set_bank(ResidualBank(0.5 * detail, np.stack([ball, ball]).sum(axis=1)))
    form.set_deviations(deviations_of([(ball * np.exp(0.3 * x).astype(np.float32), ball) for x in (k, i, j)]))
    return WorldModel(vision, form)
