"""Twelve procedural patients, coarse and small, and networks that learn from them in seconds."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from xray2xray.data.store import ViewStore
from xray2xray.experiments.pretraining.networks.contrastive import ContrastiveConfig
from xray2xray.experiments.pretraining.networks.dino import DINOConfig
from xray2xray.experiments.pretraining.networks.igpt import ImageGPTConfig
from xray2xray.experiments.pretraining.networks.mae import MAEConfig
from xray2xray.experiments.pretraining.objectives.dino import DINOTraining
from xray2xray.experiments.pretraining.recipes import Recipe
from xray2xray.experiments.supervised.backbones.vit import ViTConfig
from xray2xray.io.model_folder import write_part
from xray2xray.models.vision.vqgan import VisionConfig, VisionModel
from xray2xray.phantoms import patient_volume
from xray2xray.projection.geometry import STANDARD_ARC, preset
from xray2xray.projection.render import render
from xray2xray.training.loop import LoopConfig
from xray2xray.training.objectives.vision import stored_to_network

SIZE, PATIENTS = 32, 12
VIT = ViTConfig(32, 2, 2, patch=8, picture=SIZE)
STEPS = 24


@pytest.fixture(scope="session")
def chests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = ViewStore.create(tmp_path_factory.mktemp("chests") / "store", preset("chest", SIZE))
    for seed in range(PATIENTS):
        store.write(f"chest-{seed:02d}", render(patient_volume(seed, 48), store.geometry, STANDARD_ARC), STANDARD_ARC)
    return store.folder


@pytest.fixture(scope="session")
def vision_folder(chests: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A V that was never trained, but whose codebook fits the latents it makes."""
    torch.manual_seed(0)
    vision = VisionModel(
        VisionConfig(size=SIZE, widths=(8, 16), blocks=(1, 1), head_width=8, latent_dim=8, codebook_size=32)
    )
    x = stored_to_network(ViewStore.open(chests).read_standard()[:, ::6].reshape(-1, 1, SIZE, SIZE))
    with torch.no_grad():
        vision.codebook.fit(vision.encode(x).flatten(0, 1), torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("model")
    write_part(folder, "vision", vision)
    return folder


@pytest.fixture(scope="session")
def small() -> Callable[[str], Recipe]:
    """A method's recipe at reduced width."""
    loop = LoopConfig(STEPS, 8, 2e-3, warm_up=2, log_every=4)
    recipe = partial(Recipe, checks=3)
    recipes = {
        "mae": recipe(MAEConfig(VIT, decoder_width=16, decoder_depth=1, decoder_heads=2), loop),
        "igpt": recipe(ImageGPTConfig(dim=32, heads=2, layers=2), loop),
        "dino": recipe(
            DINOConfig(VIT, 64, 32, 64),
            replace(loop, rate=1e-3, warm_up=6),
            DINOTraining(large_size=24, small_size=16, small=2),
        ),
        "contrastive": recipe(ContrastiveConfig(VIT, 32, 16), replace(loop, steps=48, rate=5e-4, warm_up=6)),
    }
    return recipes.__getitem__
