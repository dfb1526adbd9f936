"""Virtual patients whose labels are true and whose pictures are simple: who has a finding is brighter somewhere."""

from pathlib import Path

import numpy as np
import pytest
import torch

from xray2xray.core.seeds import split_of
from xray2xray.data.store import ViewStore
from xray2xray.experiments.pretraining.encoder import ViTEncoder
from xray2xray.experiments.pretraining.encoder_file import write_encoder
from xray2xray.experiments.supervised.backbones.vit import VisionTransformer
from xray2xray.models.transitions import DirectConfig, DirectTransition
from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.models.world_model import WorldModel
from xray2xray.phantoms import patient_labels
from xray2xray.projection.geometry import preset

SIZE = 32
TRAIN = [seed for seed in range(500_000, 500_240) if split_of(seed) == "train"][:130]
TEST = list(range(1_000_000, 1_000_080))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frontal shows cardiomegaly, the lateral only what `cvd_prevalent` says."""
    made = ViewStore.create(tmp_path_factory.mktemp("downstream") / "views", preset("chest", SIZE))
    rng = np.random.default_rng(0)
    for seed in [*TRAIN, *TEST]:
        labels = patient_labels(seed)
        views = 3 + rng.normal(0, 0.3, (2, SIZE, SIZE)).clip(-1, 1)
        views[0, 8:16, 8:16] += labels["cardiomegaly"]
        views[1, 16:24, 8:16] += labels["cvd_prevalent"]
        made.write(f"thorax-{seed:07d}", views, [0.0, 90.0], {"seed": seed, **labels})
    return made.folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world model of 32 pixels that has learned nothing: its latents are random convolutions of the picture."""
    torch.manual_seed(0)
    vision = VisionConfig(size=SIZE, widths=(8, 16), blocks=(1, 1), head_width=4, latent_dim=8, codebook_size=16)
    direct = DirectConfig(vision.tokens, vision.latent_dim, 32, 2, 1, 1, 16, 2, 4, 4)
    folder = tmp_path_factory.mktemp("model")
    WorldModel(VisionModel(vision), DirectTransition(direct), {"patients": 10}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of `training.pretrain` that has learned nothing."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    write_encoder(folder, ViTEncoder(VisionTransformer(VisionTransformer.SIZES["tiny"]), "class"), {})
    return folder
