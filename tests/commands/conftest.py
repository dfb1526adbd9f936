"""A small model, two small scans and a radiograph that verbs are run on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xray2xray
from xray2xray.commands import cli

SIZE = 32  # of the model's views


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two procedural patients as files, small."""
    out = tmp_path_factory.mktemp("phantom") / "out"
    assert cli.main(["phantom", "--out", str(out), "--count", "2", "--seed", "40", "--size", "64", "--truth"]) == 0
    return out


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world model that has learned nothing, with its baselines: small enough to go through every verb."""
    import torch

    from xray2xray.models.transitions.autoregressive import AutoregressiveConfig, AutoregressiveTransition
    from xray2xray.models.transitions.direct import DirectConfig, DirectTransition
    from xray2xray.models.vision.vqgan import VisionConfig, VisionModel
    from xray2xray.models.world_model import WorldModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    vision = VisionConfig(size=SIZE, widths=(8, 16), blocks=(1, 1), head_width=4, latent_dim=8, codebook_size=16)
    direct = DirectConfig(vision.tokens, vision.latent_dim, 32, 2, 1, 1, 16, 2, 4, 4)
    gpt = AutoregressiveConfig(vision.tokens, vision.codebook_size, dim=32, heads=2, layers=1)
    for transition in (DirectTransition(direct), AutoregressiveTransition(gpt)):
        WorldModel(VisionModel(vision), transition, {"preset": "untrained"}).save_pretrained(folder)
    xray2xray.render(out=folder / "store", procedural=3, size=SIZE, workers=1)
    xray2xray.evaluate_baselines(folder / "store", folder / "baselines.npz", source=folder)
    return folder


@pytest.fixture(scope="session")
def radiograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey picture with dark lungs in a bright body on a dark ground."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    body = np.exp(-((x / 0.8) ** 6) - (y / 1.1) ** 6)
    lungs = np.exp(-(((np.abs(x) - 0.4) / 0.22) ** 2) - (y / 0.55) ** 4)
    path = tmp_path_factory.mktemp("radiograph") / "chest.png"
    Image.fromarray((255 * np.clip(body * (0.85 - 0.6 * lungs), 0, 1)).astype(np.uint8)).save(path)
    return path
