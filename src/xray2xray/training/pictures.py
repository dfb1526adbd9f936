"""Pictures of how training goes: rows of views, dense = bright."""

import numpy as np
from torch import Tensor

from ..models.vision.normalise import from_network

WINDOW = 7.0  # line integrals from 0 to here span black to white


def contact_sheet(rows: list[Tensor]) -> np.ndarray:
    """Rows of views, each (n, 1, h, w) in network values, as one uint8 picture (rows * h, n * w)."""
    strips = []
    for row in rows:
        views_p = from_network(row.detach().float().cpu()).squeeze(1).numpy()
        strips.append(np.concatenate(list(views_p), axis=1))
    sheet = np.concatenate(strips, axis=0) / WINDOW
    return (np.clip(sheet, 0.0, 1.0) * 255).astype(np.uint8)
