"""What a model's training frontals look like: kept in the model's folder, and compared with what is given to it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError, reading
from ..io.files import write_json
from ..io.model_folder import cohort_words, folder_of, read_config, sha256
from ..io.text import read_json
from ..projection.geometry import Geometry

PART = "input_statistics"
FILE = f"{PART}.json"


@dataclass(frozen=True, eq=False)
class InputStatistics:
    """Statistics of the training frontals of V.

    Attributes:
        geometry: how they were taken, with their size in pixels.
        frontal_quantiles: float32 (256,), p at the quantiles (i + 1/2) / 256 of their pixels inside the body, as
            `radiograph.quantiles.quantiles_of` takes them: a radiograph's grey values are matched to these.
        error_quantiles: float32 (101,), V's reconstruction error (RMSE, unit scale) of them at 0, 1 ... 100 %.
        cohort: whose frontals they are, in words.
    """

    geometry: Geometry
    frontal_quantiles: NDArray[np.float32]
    error_quantiles: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    cohort: str = ""

    def save(self, folder: Path) -> None:
        """Write input_statistics.json into a model's folder, and its sha256 into config.json."""
        content = {name: np.asarray(getattr(self, name), np.float32).tolist() for name in _LENGTHS}
        write_json(folder / FILE, {"geometry": asdict(self.geometry), "cohort": self.cohort, **content})
        config = read_config(folder)
        config["sha256"] = config.get("sha256", {}) | {PART: sha256(folder / FILE)}
        write_json(folder / "config.json", config)

    @classmethod
    def load(cls, source: str | Path) -> "InputStatistics":
        """The statistics of a model, by its name or folder.

        Raises:
            InputError: the model has none, or its file is damaged.
        """
        folder = folder_of(source)
        path = folder / FILE
        if not path.is_file():
            raise InputError(
                f"the model {source} has no {FILE}, so a radiograph cannot be matched to its training frontals; write "
                f"it with `xray2xray evaluate baselines --views STORE --source {source} --out {folder}/baselines.npz`"
            )
        if sha256(path) != read_config(folder).get("sha256", {}).get(PART):
            raise InputError(f"{path} does not have the sha256 that config.json gives; it is damaged, copy it again")
        content = read_json(path)
        with reading(path, "holds no statistics"):
            arrays = {name: np.array(content[name], np.float32) for name in _LENGTHS}
            for name, lengths in _LENGTHS.items():
                if arrays[name].shape not in lengths or not (np.diff(arrays[name]) >= 0).all():
                    raise ValueError(f"{name} are not {lengths[-1][0]} rising numbers")
            return cls(
                Geometry(**content["geometry"]), **arrays, cohort=cohort_words(content.get("cohort", ""), source)
            )


_LENGTHS = {"frontal_quantiles": ((256,),), "error_quantiles": ((0,), (101,))}
