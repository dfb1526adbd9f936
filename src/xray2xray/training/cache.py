"""V's latents and tokens of every view, computed once, so that M is trained without encoding."""

import logging
import time
from pathlib import Path

import numpy as np
import torch

from ..io.files import atomic_path
from ..models.vision.vqgan import VisionModel
from .objectives.vision import stored_to_network

logger = logging.getLogger(__name__)
PATIENTS_AT_ONCE = 16  # on a GPU: 592 views


def cached_latents(folder: Path, key: str, vision: VisionModel, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latents (patients, 37, n, C) float16 and tokens (patients, 37, n) int32 of stored views (patients, 37, h, w).

    They are kept in `folder` and read from there when `key` (which V, which views) is the same.
    """
    paths = folder / "latents.npy", folder / "tokens.npy"
    key_path = folder / "key.txt"
    if key_path.is_file() and key_path.read_text(encoding="utf-8") == key and all(path.is_file() for path in paths):
        return np.load(paths[0], allow_pickle=False), np.load(paths[1], allow_pickle=False)
    latents, tokens = encode_all(vision, views)
    folder.mkdir(parents=True, exist_ok=True)
    key_path.unlink(missing_ok=True)
    for path, array in zip(paths, (latents, tokens), strict=True):
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, array)
    key_path.write_text(key, encoding="utf-8")
    return latents, tokens


@torch.no_grad()
def encode_all(vision: VisionModel, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `cached_latents`, without the disk."""
    device = next(vision.parameters()).device
    config = vision.config
    latents = np.empty((*views.shape[:2], config.tokens, config.latent_dim), np.float16)
    tokens = np.empty((*views.shape[:2], config.tokens), np.int32)
    together = 1 if device.type == "cpu" else PATIENTS_AT_ONCE
    start = last = time.monotonic()
    for first in range(0, len(views), together):
        some = slice(first, min(first + together, len(views)))
        x = stored_to_network(views[some], device).flatten(0, 1)[:, None]
        encoded = vision.encode(x)
        latents[some] = encoded.half().cpu().numpy().reshape(latents[some].shape)
        tokens[some] = vision.tokens(encoded).int().cpu().numpy().reshape(tokens[some].shape)
        if time.monotonic() - last > 10:
            last = time.monotonic()
            left = (last - start) / some.stop * (len(views) - some.stop)
            logger.info("latents %d/%d patients, %.0f s left", some.stop, len(views), left)
    return latents, tokens
