"""Anatomy of the imagined views of a frontal: with an interval from samples, and how unlike that of known frontals."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..core.errors import InputError, reading
from ..io.model_folder import folder_of
from ..io.text import read_json
from ..projection.geometry import Geometry
from .anatomy import ENDPOINTS
from .metrics import Array

if TYPE_CHECKING:
    from ..models.transitions.base import State
    from ..models.world_model import WorldModel

FILE = "imagined.json"
YAW_DEG = tuple(sorted({one.yaw_deg for one in ENDPOINTS.values()}))
SAMPLES = 20
_LEVELS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Imagined:
    """`ENDPOINTS` of the expected views, (k,), and the SD of those of samples, (k,); NaN of a form without samples."""

    values: Array
    spread: Array


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the anatomy that a form imagines.

    Attributes:
        form: of M.
        mean, precision: (k,) and (k, k), of `ENDPOINTS` of the frontals of real radiographs.
        distances: (101,), quantiles of their Mahalanobis distances.
        reach: (k,), how many SDs of samples 95 % of the true values of virtual patients are within.
    """

    form: str
    mean: Array
    precision: Array
    distances: Array
    reach: Array

    @classmethod
    def of(cls, form: str, values: Array, errors_in_sd: Array) -> "Known":
        """From `ENDPOINTS` (n, k) of radiographs, and errors over spread (m, k) of patients whose truth is known."""
        mean, precision = values.mean(axis=0), np.linalg.inv(np.cov(values.T))
        apart = np.sqrt(np.einsum("ni,ij,nj->n", values - mean, precision, values - mean))
        return cls(form, mean, precision, np.quantile(apart, _LEVELS), np.quantile(np.abs(errors_in_sd), 0.95, axis=0))

    @classmethod
    def load(cls, folder: str | Path = "gate") -> "Known":
        """From the gate's folder.

        Raises:
            InputError: it is missing or damaged.
        """
        path = folder_of(folder) / FILE
        content = read_json(path, remedy="copy the whole folder again")
        with reading(path, "holds no imagined anatomy"):
            known = cls(content["form"], *(np.array(content[name], float) for name in _ARRAYS))
            k = len(ENDPOINTS)
            if [getattr(known, name).shape for name in _ARRAYS] != [(k,), (k, k), (101,), (k,)]:
                raise ValueError(f"numbers of {k} endpoints are wanted")
            return known

    def as_dict(self) -> dict[str, Any]:
        """As `load` takes it."""
        return {"form": self.form, **{name: getattr(self, name).tolist() for name in _ARRAYS}}

    def unlike(self, values: Array) -> tuple[float, float]:
        """The Mahalanobis distance over its median, and the share of known frontals that are nearer to their mean."""
        off = values - self.mean
        distance = float(np.sqrt(off @ self.precision @ off))
        return distance / float(self.distances[50]), float(np.interp(distance, self.distances, _LEVELS))


_ARRAYS = ("mean", "precision", "distances", "reach")


def imagine(model: "WorldModel", state: "State", geometry: Geometry, samples: int = SAMPLES) -> Imagined:
    """The endpoints of the first patient of a state.

    Raises:
        InputError: they are not finite.
    """
    values = measured(model.predict(state, YAW_DEG)[0], geometry)
    if not np.isfinite(values).all():
        raise InputError("the imagined views show no body that could be measured")
    if not model.transition.has_sampler:
        return Imagined(values, np.full(len(values), np.nan))
    drawn = model.sample(state, YAW_DEG, torch.Generator().manual_seed(0), samples)[:, 0]
    return Imagined(values, np.std([measured(one, geometry) for one in drawn], axis=0, ddof=1))


def measured(views_p: Array, geometry: Geometry, yaw_deg: Sequence[float] = YAW_DEG) -> Array:
    """`ENDPOINTS` (k,) of the views (n, h, w) at these angles."""
    yaw = list(yaw_deg)
    return np.array([one.measure(views_p[yaw.index(one.yaw_deg)], geometry) for one in ENDPOINTS.values()])
