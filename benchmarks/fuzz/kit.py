"""What the commands need besides the input: a small untrained model, a view store, a training run, a scan."""

from pathlib import Path

import numpy as np
import torch

from xray2xray.commands.evaluate_baselines import evaluate_baselines
from xray2xray.commands.train import train
from xray2xray.data.store import ViewStore
from xray2xray.io.files import write_text
from xray2xray.models.transitions.direct import DirectConfig, DirectTransition
from xray2xray.models.vision.vqgan import VisionConfig, VisionModel
from xray2xray.models.world_model import WorldModel
from xray2xray.projection.geometry import STANDARD_ARC, preset

SIZE = 32
RECIPE = f"""preset: tiny
held_out: 1
vision: {{size: {SIZE}, widths: [8, 16], blocks: [1, 1], head_width: 8, latent_dim: 8, codebook_size: 16}}
vision_loop: {{steps: 2, batch: 2, rate: 1.0e-3, warm_up: 1, log_every: 1, check_every: 2}}
direct: {{tokens: 16, latent_dim: 8, dim: 32, heads: 2, trunk: 1, head: 1, condition_dim: 16, prior_inputs: 4,
  prior_outputs: 4}}
autoregressive: {{tokens: 16, codebook_size: 16, dim: 32, heads: 2, layers: 1}}
sampler: {{tokens: 16, latent_dim: 8, hidden: 32, dim: 16, heads: 2, blocks: 1, condition_dim: 16, noise: 4,
  outputs: 8}}
"""


def make(folder: Path) -> None:
    """Write `views/`, `model/`, `run/` and `recipe.yaml` into a folder."""
    torch.manual_seed(0)
    write_text(folder / "recipe.yaml", RECIPE)
    store = ViewStore.create(folder / "views", preset("chest", SIZE))
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    for patient in range(4):
        turn = np.deg2rad(np.array(STANDARD_ARC))[:, None, None]
        blob = np.exp(-(((x - 0.3 * np.sin(turn + patient)) / 0.5) ** 2) - (y / (0.6 + 0.1 * patient)) ** 2)
        store.write(f"blob-{patient}", 6 * blob, STANDARD_ARC, {"seed": patient})
    vision = VisionConfig(size=SIZE, widths=(8, 16), blocks=(1, 1), head_width=8, latent_dim=8, codebook_size=16)
    direct = DirectConfig(vision.tokens, vision.latent_dim, 32, 2, 1, 1, 16, 2, 4, 4)
    WorldModel(VisionModel(vision), DirectTransition(direct), {"preset": "untrained"}).save_pretrained(folder / "model")
    evaluate_baselines(folder / "views", folder / "model" / "baselines.npz", source=folder / "model")
    train(folder / "views", folder / "run", stage="vision", recipe=folder / "recipe.yaml")
