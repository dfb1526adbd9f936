"""Emphysema: holes of almost air in the lung, most of them in its upper zones (centrilobular, as smokers have it)."""

import numpy as np

from .tissues import LUNG_LEFT, LUNG_RIGHT

# Below -950 HU is what CT counts as emphysema: Gevenois, Am J Respir Crit Care Med 152:653 (1995), against macroscopy.
HOLE_HU = -970.0
_UPWARD = 0.6  # how much a standard deviation of height counts against one of the texture


def add_emphysema(hu: np.ndarray, tissue: np.ndarray, share: float, noise: np.ndarray) -> None:
    """Empty a share of the lung's voxels, in place.

    Args:
        hu, tissue: (n, n, n), contiguous; call it before vessels are painted into the lung.
        share: of the lung's volume, 0..1.
        noise: (n, n, n) of unit variance; holes are where it is low and the lung high.
    """
    if share <= 0:
        return
    lung = np.flatnonzero((tissue == LUNG_RIGHT) | (tissue == LUNG_LEFT))
    if len(lung) == 0:
        return
    height = (lung % hu.shape[2]).astype(np.float32)
    height = (height - height.mean()) / max(float(height.std()), 1e-6)
    emptiness = _UPWARD * height - noise.reshape(-1)[lung]
    limit = np.quantile(emptiness[:: max(1, len(lung) // 20_000)], 1 - share)  # a part of the voxels tells it
    depth = np.clip(0.5 + (emptiness - np.float32(limit)) / 0.3, 0, 1)  # a soft edge around the share's border
    before = hu.reshape(-1)[lung]
    hu.reshape(-1)[lung] = before + depth * np.minimum(np.float32(HOLE_HU) - before, 0)
