"""A scan in Hounsfield units to X-ray views."""

import numpy as np

from ..volume.attenuation import hu_to_mu
from ..volume.volume import Volume, body_mask, isocentre_mm
from .forward import Backend, project
from .geometry import Geometry, Poses


def render(
    volume: Volume,
    geometry: Geometry,
    poses: Poses,
    backend: Backend = "auto",
    threads: int | None = None,
) -> np.ndarray:
    """Views of a chest as line integrals p, (n, size, size) float32: row 0 is superior, yaw 0 is PA.

    HU become attenuation at 60 keV (room air beside the body exactly none) and the X-ray set turns about the body's
    own isocentre, so that views of different scans are comparable. `poses`, `backend` and `threads` as in `project`.

    Raises:
        InputError: as `project`.
    """
    mu = hu_to_mu(volume.hu, body_mask(volume))
    return project(mu, volume.affine, geometry, poses, isocentre_mm(volume), backend, threads)
