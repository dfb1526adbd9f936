"""The volumes that the volumetric form learns from: those kept in the view store, the others from their own views."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..data.store import SCALE, LiftedStudy
from ..io.files import atomic_path
from ..parallel.progress import progress
from ..projection.frustum import Frustum
from ..projection.geometry import STANDARD_ARC
from ..projection.lifted import portions_of
from ..reconstruction.reconstruct import centred_affine, reconstruct
from ..volume.attenuation import hu_to_mu
from .sources import Studies

FRONTAL = STANDARD_ARC.index(0.0)
EXTENT_MM = 400.0  # of the cube that is reconstructed


class LiftedStudies:
    """Portions (depth, rows, columns) and line integrals (2 rows, 2 columns) of each study, read when asked for.

    A study that the store holds without a volume is reconstructed from its 37 views, once, into `folder`: so the form
    learns from views alone. What lies beyond the detector is not known of it (NaN).

    Raises:
        InputError: the store's geometry is not that of the frustum, or a stored volume has another grid.
    """

    def __init__(self, studies: Studies, frustum: Frustum, folder: Path) -> None:
        self._studies, self.frustum = studies, frustum
        self._folder = folder / hashlib.sha256(studies.key.encode()).hexdigest()[:12]  # other views, other volumes
        size = studies.geometry.size
        if replace(frustum.geometry, size=size) != studies.geometry:
            raise InputError(
                f"the views were taken with the geometry {studies.geometry.name}, the volumetric form is set to "
                f"{frustum.geometry.name}: name it in a recipe (volumetric: {{geometry: ...}})"
            )
        lacking = [i for i in range(len(self)) if self._stored(i) is None]
        waiting = [i for i in lacking if not self._path(i).is_file()]
        for number in progress(waiting, "volumes from views"):
            self._reconstruct(number)

    def __len__(self) -> int:
        return len(self._studies.places)

    def __getitem__(self, number: int, /) -> tuple[np.ndarray, np.ndarray]:
        stored = self._stored(number)
        if stored is None:
            return np.load(self._path(number), allow_pickle=False), self._measured(number)
        return stored.portions, stored.lifted_p

    def _stored(self, number: int) -> LiftedStudy | None:
        store, study = self._studies.places[number]
        found = store.read_lifted(study)
        if found is not None and found.portions.shape != self.frustum.shape:
            raise InputError(
                f"{store.path(study)} holds a volume on a grid {found.portions.shape}, the volumetric form wants "
                f"{self.frustum.shape}; render the store again or change the recipe"
            )
        return found

    def _measured(self, number: int) -> np.ndarray:
        wide = replace(self.frustum.geometry, size=self._studies.geometry.size)
        frustum = Frustum(wide, self.frustum.pose, 1, self.frustum.half_depth_mm)
        p = np.full(frustum.shape[1:], np.nan, np.float32)
        p[frustum.detector] = self._studies.views[number, FRONTAL].astype(np.float32) / SCALE
        return p

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}-{self._studies.places[number][1]}.npy"

    def _reconstruct(self, number: int) -> None:
        size = self._studies.geometry.size
        views_p = self._studies.views[number].astype(np.float32) / SCALE
        volume = reconstruct(views_p, self._studies.geometry, STANDARD_ARC, size, EXTENT_MM, show_progress=False).volume
        mu = hu_to_mu(volume.hu)
        portions = portions_of(mu, centred_affine(size, EXTENT_MM), np.zeros(3), self.frustum)
        self._folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(self._path(number)) as temporary, temporary.open("wb") as file:
            np.save(file, portions.astype(np.float16))
