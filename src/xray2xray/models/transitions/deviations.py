"""What one frontal leaves open, coarsely: how chests deviate from what was expected of them.

Of some patients whose volume is known the logarithm of true over expected attenuation is kept, in coarse cells. A
possible chest is the expected one times a random combination of these deviations, with weights that are independent and
normal: so deviations have the covariance of those that were met, as in an ensemble Kalman filter (Evensen, 1994). Along
each ray the result is scaled to the line integral that the view has measured. Where nothing is expected, nothing comes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from ...core.errors import InputError
from ...projection.lifted import Lifted

COARSE = 4  # planes, rows and columns of a coarse cell: about 24 mm; finer detail is the residual bank's
LEAST = 1e-3  # of a cell's line integral: what is added before logarithms are taken
LIMIT = (
    1.0  # of a logarithm: larger ones are of body surfaces, and would draw a second skin (docs/decisions/sampler.md)
)


@dataclass(frozen=True, eq=False)
class Deviations:
    """`logs`: (n, depth, rows, columns) float32 in coarse cells."""

    logs: np.ndarray

    def sample(self, state: Lifted, generator: torch.Generator, strength: float = 1.0) -> Lifted:
        """One possible chest, without fine detail, of the expected `state`.

        Raises:
            InputError: the state has other planes or cells.
        """
        shape = state.w.shape
        if coarse_cells(shape) != self.logs.shape[1:]:
            raise InputError(f"the state has {shape} cells, the deviations {self.logs.shape[1:]} of {COARSE}^3 such")
        n = len(self.logs)
        weights = (torch.randn(2 * n, generator=generator) * strength / np.sqrt(2 * n)).numpy()
        same, mirrored = (np.tensordot(part, self.logs, 1) for part in (weights[:n], weights[n:]))
        log = torch.from_numpy((same + mirrored[..., ::-1]).astype(np.float32))[None, None]
        finer = F.interpolate(log, size=shape, mode="trilinear", align_corners=False)[0, 0].numpy()
        w = state.w * np.exp(finer)
        total, before = w.sum(axis=0), state.w.sum(axis=0)
        return replace(state, w=(w * (before / np.maximum(total, 1e-9))).astype(np.float32))


def coarse_cells(shape: Sequence[int]) -> tuple[int, int, int]:
    """The coarse cells of a state of (depth, rows, columns)."""
    depth, rows, columns = (max(1, n // COARSE) for n in shape)
    return depth, rows, columns


def deviation_of(true: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """float32 logarithms in coarse cells, of true and expected portions (depth, rows, columns)."""
    both = torch.from_numpy(np.stack([true, expected]).astype(np.float32))
    coarse = F.adaptive_avg_pool3d(both, coarse_cells(true.shape))
    return np.asarray(((coarse[0] + LEAST) / (coarse[1] + LEAST)).log().clamp(-LIMIT, LIMIT).numpy())


def deviations_of(patients: Sequence[tuple[np.ndarray, np.ndarray]]) -> Deviations:
    """Of patients given as true and expected portions (depth, rows, columns)."""
    return Deviations(np.stack([deviation_of(true, expected) for true, expected in patients]))
