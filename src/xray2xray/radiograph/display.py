"""Line integrals as pictures: one fixed window, dense bright as radiologists read it."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from ..core.errors import InputError
from ..io.files import atomic_path

WINDOW = (0.0, 7.0)  # line integral p: air is black, a frontal abdomen nearly white
DETAIL_FRACTION = 0.03  # of the picture's width, about a rib: what is finer counts as detail


def to_gray(p: np.ndarray, window: tuple[float, float] = WINDOW) -> np.ndarray:
    """uint8, the shape of `p`: line integrals in `window` to 0..255, never stretched per image: views compare."""
    low, high = window
    return np.rint(np.clip((np.asarray(p, dtype=np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def radiograph(
    p: np.ndarray, window: tuple[float, float] = WINDOW, invert: bool = False, local_contrast: float = 0.5
) -> np.ndarray:
    """Line integrals as a radiologist is used to see them, uint8 of the shape of `p`. For the eye, not for measuring.

    Digital systems raise local contrast, else the mediastinum is white and the lungs are black. Here what differs from
    the neighbourhood (a Gaussian of 3 % of the width) is added once more, `local_contrast` times: p + c (p - G p), on
    the same fixed scale for every picture.

    Args:
        p: (..., rows, columns) line integrals.
        window: the line integrals shown as black and white.
        invert: air white, dense black.
        local_contrast: c; 0 is `to_gray`.

    Raises:
        InputError: an empty window, a negative `local_contrast`, or `p` that is not at least two-dimensional.
    """
    p = np.asarray(p, np.float32)
    if p.ndim < 2 or not window[1] > window[0] or not local_contrast >= 0:
        raise InputError(
            f"a radiograph needs line integrals (..., rows, columns), a window that rises and a local contrast of at "
            f"least 0, got shape {p.shape}, window {window}, local_contrast {local_contrast}"
        )
    if local_contrast:
        sigma = (0.0,) * (p.ndim - 2) + (DETAIL_FRACTION * p.shape[-1],) * 2
        p = p + np.float32(local_contrast) * (p - gaussian_filter(p, sigma, mode="nearest"))
    gray = to_gray(p, window)
    return 255 - gray if invert else gray


def save_png(path: str | Path, gray: np.ndarray) -> None:
    """Write uint8 (h, w) or (h, w, 3) as PNG; atomic."""
    if gray.dtype != np.uint8:
        raise TypeError(f"save_png wants uint8, not {gray.dtype}; use to_gray")
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(gray)).save(temporary, format="PNG")
