"""Baselines without a network: they turn unit inputs (n, h, w) into unit views (n, angles, h, w)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.store import SCALE
from ..projection.frustum import Frustum
from ..projection.geometry import STANDARD_ARC
from ..projection.lifted import Lifted, extended
from .metrics import P_MAX, Array, unit

SMALL = 32  # neighbours are found on frontals of 32 x 32 pixels: posture and build, not noise
NEIGHBOURS = 10

Views = NDArray[np.uint16]


class Predictor(Protocol):
    """Anything that turns unit inputs (n, h, w) into unit views (n, angles, h, w), float32."""

    def predict(self, inputs: Array) -> Array: ...


@dataclass(frozen=True)
class CopyInput:
    """Every angle looks like the input: what a model gets for doing nothing."""

    angles: int = len(STANDARD_ARC)

    def predict(self, inputs: Array) -> Array:
        return np.repeat(inputs[:, None], self.angles, axis=1)


@dataclass(frozen=True)
class MeanView:
    """Every patient looks like the average one. `views`: unit (angles, h, w)."""

    views: Array

    def predict(self, inputs: Array) -> Array:
        return np.repeat(self.views[None], len(inputs), axis=0)


@dataclass(frozen=True)
class NearestCases:
    """Mean of the views of the `neighbours` training cases whose input view is nearest (Euclidean, 32 x 32 pixels).

    Attributes:
        small: uint8 (n, 32, 32), the training cases' input views as `shrink` makes them.
        views_of: index of a training case -> its unit views (angles, h, w).
    """

    small: NDArray[np.uint8]
    views_of: Callable[[int], Array]
    neighbours: int = NEIGHBOURS

    def nearest(self, inputs: Array) -> NDArray[np.intp]:
        """Indices (n, neighbours) of the nearest training cases, nearest first."""
        train = self.small.reshape(len(self.small), -1).astype(np.float32)
        query = shrink(inputs).reshape(len(inputs), -1).astype(np.float32)
        distance = np.square(query).sum(1)[:, None] - 2 * query @ train.T + np.square(train).sum(1)[None]
        return np.argsort(distance, axis=1, kind="stable")[:, : self.neighbours]

    def predict(self, inputs: Array) -> Array:
        return np.stack([np.mean([self.views_of(int(i)) for i in row], axis=0) for row in self.nearest(inputs)])


@dataclass(frozen=True, eq=False)
class MeanDepth:
    """What each ray has measured, spread along it as in the average patient: geometry, and nothing learned of the case.

    Attributes:
        portions: (depth, rows, columns), the training cohort's mean line integral in each cell of the lifted state.
        frustum: of the input view, at its own resolution; its cells are as fine as those of `portions` or a whole
            number of times finer.
    """

    portions: Array
    frustum: Frustum

    def predict(self, inputs: Array) -> Array:
        total = self.portions.sum(axis=0)
        w = (self.portions / np.maximum(total, 1e-6)).astype(np.float32)
        states = (Lifted(self.frustum, extended(P_MAX * one, self.frustum, total), w) for one in inputs)
        return np.stack([unit(state.views(STANDARD_ARC)) for state in states])


def shrink(images: Array, size: int = SMALL) -> NDArray[np.uint8]:
    """Unit images (n, h, w) -> uint8 (n, size, size): mean over the area of each coarse pixel, 255 = p of 10."""
    rows, columns = (_area_weights(length, size) for length in images.shape[-2:])
    return np.rint(255 * (rows @ images @ columns.T)).astype(np.uint8)


def _area_weights(length: int, size: int) -> Array:
    """(size, length): which share of a coarse pixel each fine pixel covers; works for any two sizes."""
    edges = np.arange(length + 1) * (size / length)
    coarse = np.arange(size)[:, None]
    return np.clip(np.minimum(edges[1:], coarse + 1) - np.maximum(edges[:-1], coarse), 0, None).astype(np.float32)


def unit_of(counts: Views) -> Array:
    """uint16 counts of 4096 p -> unit float32."""
    return np.minimum(counts.astype(np.float32) * np.float32(1 / (SCALE * P_MAX)), np.float32(1))
