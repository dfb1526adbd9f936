"""A chest of ellipsoids, asymmetric in every direction, with exact views."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from xray2xray.projection.ellipsoids import Ellipsoid, voxelise
from xray2xray.reconstruction.reconstruct import centred_affine

WATER = 0.0206  # per mm

CHEST = (
    Ellipsoid((0, 0, 0), (150, 100, 140), WATER),
    Ellipsoid((70, 0, 10), (45, 70, 90), -0.8 * WATER),  # right lung
    Ellipsoid((-70, 0, 10), (45, 70, 90), -0.8 * WATER),
    Ellipsoid((-25, 35, -20), (45, 30, 40), 0.3 * WATER),  # heart, to the left and in front
    Ellipsoid((0, -75, 0), (15, 15, 110), WATER),  # spine
)


@dataclass(frozen=True)
class Scan:
    mu: np.ndarray
    affine: np.ndarray


@pytest.fixture(scope="session")
def chest_ellipsoids() -> tuple[Ellipsoid, ...]:
    return CHEST


@pytest.fixture(scope="session")
def chest_scan() -> Callable[[int], Scan]:
    """`chest_scan(n)`: the chest on n^3 voxels over 384 mm."""
    made: dict[int, Scan] = {}

    def make(size: int) -> Scan:
        if size not in made:
            affine = centred_affine(size, 384.0)
            made[size] = Scan(voxelise(CHEST, (size, size, size), affine), affine)
        return made[size]

    return make


@pytest.fixture(scope="session")
def blob() -> Callable[..., Scan]:
    """`blob(position_mm)`: one small dense ball, the landmark to look for."""

    def make(position_mm: tuple[float, float, float], size: int = 96) -> Scan:
        affine = centred_affine(size, 384.0)
        return Scan(voxelise([Ellipsoid(position_mm, (8, 8, 8), 0.05)], (size, size, size), affine), affine)

    return make
