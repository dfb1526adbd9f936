"""Hounsfield units to linear attenuation at 60 keV and back, per millimetre.

Two straight lines, DESIGN section 3: up to 100 HU the definition of the Hounsfield unit with water at 0.0206 / mm (NIST
XCOM, 60 keV), above it a steeper one for the photoelectric absorption of calcium, so that cortical bone (1,560 HU) gets
0.0605 / mm.
"""

import numpy as np

WATER_MU = 0.0206  # per mm
KNEE_HU = 100.0
KNEE_MU = 0.02266  # per mm: both lines meet here
BONE_SLOPE = 2.59e-5  # per mm and HU
AIR_BESIDE_BODY_HU = -950.0


def hu_to_mu(hu: np.ndarray, body: np.ndarray | None = None) -> np.ndarray:
    """Attenuation of each voxel.

    Nothing attenuates less than vacuum: below -1000 HU (padding, noise) the result is 0. Lung keeps its own value
    however low, since emphysema lives below -950 HU. Where `body` is given, anything at or below -950 HU outside it is
    room air and becomes exactly 0, so that noise does not add up along half a metre of it.

    Args:
        hu: any shape, Hounsfield units.
        body: bool, same shape, from `body_mask`.

    Returns:
        float32, same shape, per mm.
    """
    hu = np.asarray(hu, dtype=np.float32)
    mu = np.maximum(hu, np.float32(-1000)) + np.float32(1000)
    mu *= np.float32(WATER_MU / 1000)
    dense = hu > KNEE_HU
    mu[dense] = np.float32(KNEE_MU) + np.float32(BONE_SLOPE) * (hu[dense] - np.float32(KNEE_HU))
    if body is not None:
        mu[~body & (hu <= AIR_BESIDE_BODY_HU)] = 0
    return mu


def mu_to_hu(mu: np.ndarray) -> np.ndarray:
    """Inverse of `hu_to_mu`: float32 Hounsfield units, at least -1000, from attenuation per mm."""
    mu = np.maximum(np.asarray(mu, dtype=np.float32), np.float32(0))
    hu = mu * np.float32(1000 / WATER_MU) - np.float32(1000)
    dense = mu > np.float32(KNEE_MU)
    hu[dense] = np.float32(KNEE_HU) + (mu[dense] - np.float32(KNEE_MU)) / np.float32(BONE_SLOPE)
    return hu
