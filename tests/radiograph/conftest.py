"""A drawn frontal chest: bright trunk and spine, dark lungs and air, a marker on the patient's left."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def frontal() -> np.ndarray:
    """float32 (256, 256) in 0..1, dense = bright; asymmetric in both directions."""
    y, x = np.mgrid[0:256, 0:256] / 255.0
    gray = np.where(np.abs(x - 0.5) < 0.22 + 0.25 * np.clip(y - 0.05, 0, 0.4) / 0.4 * (y > 0.08), 0.7, 0.02)
    for side in (0.3, 0.7):
        gray[((x - side) / 0.13) ** 2 + ((y - 0.45) / 0.3) ** 2 < 1] = 0.25
    gray[np.abs(x - 0.5) < 0.04] = 0.9
    gray[((x - 0.57) / 0.12) ** 2 + ((y - 0.6) / 0.14) ** 2 < 1] = 0.85  # heart, to the patient's left
    gray[10:30, 225:245] = 1.0
    return gray.astype(np.float32)
