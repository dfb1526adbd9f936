"""A scan in Hounsfield units to X-ray views."""

import numpy as np

from ..volume.chest import Chest
from ..volume.volume import Volume
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
    own isocentre, so that views of different scans are comparable. A `Chest` keeps both for the next call. `poses`,
    `backend` and `threads` as in `project`.

    Raises:
        InputError: as `project`.
    """
    chest = Chest.of(volume)
    return project(chest.mu_per_mm, chest.affine, geometry, poses, chest.isocentre_mm, backend, threads)
