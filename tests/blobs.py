"""Smooth blobs on a turntable, 32 px: so small that training on them takes seconds."""

import numpy as np

from xray2xray.projection.geometry import STANDARD_ARC

SIZE = 32


def blob_views(seed: int) -> np.ndarray:
    """p (37, SIZE, SIZE) of five Gaussian blobs seen from all angles of the standard arc."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    views = np.zeros((len(STANDARD_ARC), SIZE, SIZE), np.float32)
    for x, y, z, width, height in random.uniform((-0.6, -0.6, -0.6, 0.2, 0.5), (0.6, 0.6, 0.6, 0.5, 2.0), (5, 5)):
        for view, yaw in zip(views, np.radians(STANDARD_ARC), strict=True):
            seen_at = -x * np.cos(yaw) - y * np.sin(yaw)
            view += height * np.exp(-((column - seen_at) ** 2 + (row - z) ** 2) / width**2)
    return views
