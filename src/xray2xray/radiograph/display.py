"""Line integrals as pictures: one fixed window, dense bright as radiologists read it."""

from pathlib import Path

import numpy as np
from PIL import Image

from ..files import atomic_path

WINDOW = (0.0, 7.0)  # line integral p: air is black, a frontal abdomen nearly white


def to_gray(p: np.ndarray, window: tuple[float, float] = WINDOW) -> np.ndarray:
    """uint8, the shape of `p`: line integrals in `window` to 0..255, never stretched per image: views compare."""
    low, high = window
    return np.rint(np.clip((np.asarray(p, dtype=np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def save_png(path: str | Path, gray: np.ndarray) -> None:
    """Write uint8 (h, w) or (h, w, 3) as PNG; atomic."""
    if gray.dtype != np.uint8:
        raise TypeError(f"save_png wants uint8, not {gray.dtype}; use to_gray")
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(gray)).save(temporary, format="PNG")
