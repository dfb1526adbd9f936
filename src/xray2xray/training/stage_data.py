"""What a stage of M is trained on: the views of a run, what V makes of them, and the parts that are trained before."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..core.errors import InputError
from ..io.model_folder import read_part, sha256
from ..models.transitions.registry import PARTS
from ..models.vision.vqgan import VisionModel
from ..projection.frustum import Frustum
from ..projection.geometry import mirror_arc
from .cache import cached_latents
from .lifted_studies import LiftedStudies
from .presets import Preset
from .sources import Studies


@dataclass(frozen=True, eq=False)
class StageData:
    """Everything is read or computed when first asked for.

    Attributes:
        out: the folder of the run.
    """

    studies: Studies
    recipe: Preset
    out: Path
    device: str

    @property
    def views(self) -> np.ndarray:
        """uint16 (patients, 37, size, size); those beyond `weight` are held out."""
        return self.studies.views

    @property
    def weight(self) -> Tensor:
        return self.studies.weight

    @cached_property
    def vision(self) -> VisionModel:
        return self.trained("vision")

    @property
    def latents(self) -> np.ndarray:
        """float16 (patients, 37, n, C) of the views."""
        return self._encoded[0]

    @property
    def tokens(self) -> np.ndarray:
        """int32 (patients, 37, n) of the views."""
        return self._encoded[1]

    def mirrored_latents(self) -> np.ndarray:
        """As `latents`, of the patients with left and right exchanged."""
        folder = self.out / "latents" / "mirrored"
        return cached_latents(folder, f"{self._key} mirrored", self.vision, mirror_arc(self.views))[0]

    def lifted(self, frustum: Frustum) -> LiftedStudies:
        """The volumes of all studies on the grid of the volumetric form, whose cells `frustum` has."""
        return LiftedStudies(self.studies, frustum, self.out / "lifted")

    def trained(self, part: str) -> Any:
        """A part as it will be used: read back from float16, so that what is built on it learns from what it will meet.

        Raises:
            InputError: it was not trained.
        """
        folder = self.out / "model"
        if not (folder / f"{part}.safetensors").is_file():
            raise InputError(f"{folder} holds no trained {part}; train the stage {part} to the same --out first")
        module = PARTS[part].network(self.recipe.stages[part].network)
        read_part(folder, part, module)
        return module.to(self.device).eval()

    @cached_property
    def _key(self) -> str:
        return f"{sha256(self.out / 'model' / 'vision.safetensors')} {self.studies.key}"

    @cached_property
    def _encoded(self) -> tuple[np.ndarray, np.ndarray]:
        vision = self.vision  # first: it says so where there is none
        return cached_latents(self.out / "latents", self._key, vision, self.views)
