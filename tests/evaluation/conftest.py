"""A cohort of soft ellipsoids whose views are known in closed form: quick, smooth and really patient-dependent."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from xray2xray.projection.geometry import STANDARD_ARC

EllipsoidViews = Callable[..., np.ndarray]


def _ellipsoid_views(seeds: Iterable[int], size: int = 16) -> np.ndarray:
    """Parallel projections p of one centred ellipsoid for each seed, float32 (n, 37, size, size)."""
    angle = np.deg2rad(np.array(STANDARD_ARC))
    axis = np.linspace(-1, 1, size)
    cases = []
    for seed in seeds:
        a, b, c = np.random.default_rng(seed).uniform(0.4, 0.95, 3)
        width = np.sqrt((a * np.cos(angle)) ** 2 + (b * np.sin(angle)) ** 2)[:, None, None]
        inside = 1 - (axis[None, None, :] / width) ** 2 - (axis[None, :, None] / c) ** 2
        cases.append(8 * a * b / width * np.sqrt(np.clip(inside, 0, None)))
    return np.stack(cases).astype(np.float32)


@pytest.fixture(scope="session")
def ellipsoid_views() -> EllipsoidViews:
    return _ellipsoid_views
