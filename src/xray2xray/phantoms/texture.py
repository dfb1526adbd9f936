"""Tissue texture: smooth noise in octaves, so that its spectrum falls off as that of lung and soft tissue does."""

import numpy as np
from numba import njit

OCTAVES = ((2, 0.75), (5, 0.55), (12, 0.50))  # (coarseness in voxels, weight)


@njit(nogil=True, cache=True, fastmath=True)
def _add_upsampled(total: np.ndarray, coarse: np.ndarray, step: float, weight: float) -> None:
    """Add `weight` times the trilinear interpolation of `coarse` to `total` (n, n, n), in place."""
    n = total.shape[0]
    for i in range(n):
        a = int(i / step)
        u = np.float32(i / step - a)
        for j in range(n):
            b = int(j / step)
            v = np.float32(j / step - b)
            w00, w01, w10, w11 = (1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v
            l00, l01, l10, l11 = coarse[a, b], coarse[a, b + 1], coarse[a + 1, b], coarse[a + 1, b + 1]
            line = total[i, j]
            for k in range(n):
                c = int(k / step)
                w = np.float32(k / step - c)
                low = w00 * l00[c] + w01 * l01[c] + w10 * l10[c] + w11 * l11[c]
                high = w00 * l00[c + 1] + w01 * l01[c + 1] + w10 * l10[c + 1] + w11 * l11[c + 1]
                line[k] += weight * (low + w * (high - low))


def texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise of unit variance, (size, size, size) float32."""
    total = np.zeros((size, size, size), np.float32)
    for step, weight in OCTAVES:
        cells = size // step + 2
        coarse = rng.standard_normal((cells, cells, cells), dtype=np.float32)
        # Trilinear interpolation of unit noise keeps (2/3)^3 of its variance on average; weight it back.
        _add_upsampled(total, coarse, float(step), float(np.float32(weight * 1.5**1.5)))
    total /= total.std()
    return total
