"""A world so small that training it takes seconds: smooth blobs on a turntable, 32 px."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.blobs import SIZE, blob_views
from xray2xray.data.store import ViewStore
from xray2xray.models.transitions import AutoregressiveConfig, DirectConfig, SamplerConfig
from xray2xray.models.transitions.volumetric import VolumetricConfig
from xray2xray.models.vision import VisionConfig
from xray2xray.projection.geometry import STANDARD_ARC
from xray2xray.projection.geometry import preset as geometry_preset
from xray2xray.training.loop import LoopConfig
from xray2xray.training.objectives.autoregressive import AutoregressiveTraining
from xray2xray.training.objectives.direct import DirectTraining
from xray2xray.training.objectives.sampler import SamplerTraining
from xray2xray.training.objectives.vision import VisionLosses
from xray2xray.training.objectives.volumetric import VolumetricTraining
from xray2xray.training.presets import Preset
from xray2xray.training.settings import Settings
from xray2xray.training.train import train

PATIENTS = 8


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("views") / "store"
    made = ViewStore.create(folder, geometry_preset("chest", SIZE))
    for seed in range(PATIENTS):
        made.write(f"blobs-{seed}", blob_views(seed), STANDARD_ARC)
    return folder


@pytest.fixture(scope="session")
def recipe() -> Preset:
    vision = VisionConfig(size=SIZE, widths=(8, 16), blocks=(1, 1), head_width=8, latent_dim=8, codebook_size=32)
    loop = LoopConfig(steps=12, batch=8, rate=2e-3, warm_up=2, log_every=4, check_every=6)
    direct = DirectConfig(
        tokens=16,
        latent_dim=8,
        dim=32,
        heads=4,
        trunk=1,
        head=1,
        condition_dim=16,
        prior_inputs=4,
        prior_outputs=8,
    )
    sampler = SamplerConfig(
        tokens=16, latent_dim=8, hidden=32, dim=16, heads=2, blocks=1, condition_dim=16, noise=4, outputs=8
    )
    gpt = AutoregressiveConfig(tokens=16, codebook_size=32, dim=32, heads=4, layers=1, context_views=2)
    losses = VisionLosses(quantise_from=0.25, critic_from=0.5, critic_width=8, revive_every=2)
    stages = {
        "vision": Settings(vision, loop, losses),
        "volumetric": Settings(
            VolumetricConfig(size=SIZE, depth=8, widths=(8, 16, 16, 16), heads=2, donors=3),
            replace(loop, batch=4, optimizer="muon"),
            VolumetricTraining(validated=1),
        ),
        "direct": Settings(direct, replace(loop, batch=4), DirectTraining(targets=3, pixel_views=4, pixel_from=0.5)),
        "sampler": Settings(
            sampler,
            replace(loop, batch=4),
            SamplerTraining(targets=2, pixel_from=0.5, pixel_views=2, validated=1, samples=4),
        ),
        "autoregressive": Settings(gpt, loop, AutoregressiveTraining(validated=1)),
    }
    return Preset("test", stages, held_out_views=8)


@pytest.fixture(scope="session")
def trained(store, recipe, tmp_path_factory) -> Path:
    """All three stages, uninterrupted."""
    out = tmp_path_factory.mktemp("run")
    assert train(store, out, recipe=recipe, precision="32-true") == out / "model"
    return out
