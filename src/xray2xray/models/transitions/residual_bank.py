"""A sampler of chests: the detail of a real one, lent to the mean of another.

Each donor is a patient whose volume is known. Kept is what the mean of the volume given the donor's frontal misses,
high-passed, in the lifted frame. A sample is the mean state plus the residual of one donor, moved so that the two
frontals meet, made non-negative, and rescaled along each ray to the line integral that the view has measured. So it
satisfies the view, it is one chest from all sides, and its detail is that of a body, not of a network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ...core.errors import InputError
from ...projection.frustum import Frustum
from ...projection.lifted import Lifted

HIGH_PASS_MM = 24.0  # standard deviation of the Gaussian that is taken off: coarser things the mean knows
LIKENESS_CELLS = 4  # side of the squares over which frontals are averaged to be compared
ALIGNMENT_STEPS = 25
LOG_SCALE, SHIFT = 0.25, 0.35  # bounds of the alignment: of a donor's size, and of its place in half the grid


@dataclass(frozen=True, eq=False)
class ResidualBank:
    """Residual volumes of donors, and the frontals by which they are chosen.

    Attributes:
        residuals: (n, depth, rows, columns): portions of each ray's line integral, high-passed.
        p: (n, rows, columns): the donors' line integrals in the same cells.
    """

    residuals: np.ndarray
    p: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.residuals)
        if not n or self.p.shape != (n, *self.residuals.shape[2:]):
            raise InputError(f"a bank cannot have residuals {self.residuals.shape} and line integrals {self.p.shape}")

    def sample(
        self,
        state: Lifted,
        generator: torch.Generator,
        strength: float = 1.0,
        spread: float = 2.0,
        aligned: tuple[Tensor, Tensor] | None = None,
    ) -> Lifted:
        """One possible chest of the mean `state`.

        Args:
            generator: draws the donor, likelier the more its frontal is like the view (after alignment).
            strength: of the residual, 0 (the mean) to 1: a perception-distortion curve.
            spread: ranks of likeness over which a donor's chance falls by e; 0 takes the likest.
            aligned: what `aligned` says of the state, for several samples of it.

        Raises:
            InputError: as `aligned`.
        """
        affine, error = aligned or self.aligned(state)
        rank = error.argsort().argsort()
        odds = torch.softmax(-rank / max(spread, 1e-6), dim=0)
        chosen = int(torch.multinomial(odds, 1, generator=generator))
        donor, mirrored = divmod(chosen, 2)
        return self.lent(state, donor, bool(mirrored), affine[chosen], strength)

    def lent(self, state: Lifted, donor: int, mirrored: bool, affine: Tensor, strength: float = 1.0) -> Lifted:
        """The state with this donor's residual, moved by `affine` (2, 3), as `grid_sample` takes it."""
        residual = torch.from_numpy(self.residuals[donor].astype(np.float32))[None]
        if mirrored:
            residual = residual.flip(-1)
        moved = _moved(residual, affine[None])[0].numpy()
        p = _cells(state)
        portions = np.maximum(state.w * p + np.float32(strength) * moved, 0)
        total = portions.sum(axis=0)
        w = np.where(total > 1e-6, portions / np.maximum(total, 1e-6), state.w)
        return replace(state, w=w.astype(np.float32))

    def aligned(self, state: Lifted) -> tuple[Tensor, Tensor]:
        """For every donor and its mirror image (2 n): the affine (2, 3) that brings it to the view, and what is left.

        Only scale and shift along rows and columns are free. The error is the mean square over what is measured.

        Raises:
            InputError: the state has other planes or cells than the bank.
        """
        if state.w.shape != self.residuals.shape[1:]:
            raise InputError(f"the state has {state.w.shape} cells, the bank of residuals {self.residuals.shape[1:]}")
        measured = np.zeros(state.p.shape, np.float32)
        measured[state.frustum.detector] = 1
        view, weight = (_shrunk(torch.from_numpy(x)[None, None]) for x in (_cells(state), _pooled(measured, state)))
        donors = torch.from_numpy(self.p.astype(np.float32))[:, None]
        donors = _shrunk(torch.stack([donors, donors.flip(-1)], dim=1).flatten(0, 1))
        free = torch.zeros(len(donors), 4, requires_grad=True)
        optimizer = torch.optim.Adam([free], lr=0.03)

        def error() -> Tensor:
            difference = (_moved(donors, _affine(free)) - view) ** 2
            return (difference * weight).sum(dim=(1, 2, 3)) / weight.sum()

        with torch.enable_grad():
            for _ in range(ALIGNMENT_STEPS):
                optimizer.zero_grad()
                error().sum().backward()
                optimizer.step()
        with torch.no_grad():
            return _affine(free), error()


def residual_of(
    portions: np.ndarray, mean: np.ndarray, frustum: Frustum, high_pass_mm: float = HIGH_PASS_MM
) -> np.ndarray:
    """float32 (depth, rows, columns): what a mean state misses of a chest, without what is coarser than this.

    Args:
        portions, mean: (depth, rows, columns) of the true and the mean chest, in the cells of `frustum`.
    """
    missed = np.asarray(portions, np.float32) - np.asarray(mean, np.float32)
    cell_mm = frustum.geometry.field_mm / frustum.geometry.size
    sigma = (high_pass_mm / (2 * frustum.half_depth_mm / frustum.depth), high_pass_mm / cell_mm, high_pass_mm / cell_mm)
    return missed - gaussian_filter(missed, sigma)


def bank_of(donors: Sequence[tuple[np.ndarray, np.ndarray]], frustum: Frustum) -> ResidualBank:
    """The bank of donors given as true and mean portions (depth, rows, columns), in the cells of `frustum`."""
    return ResidualBank(
        np.stack([residual_of(true, mean, frustum) for true, mean in donors]).astype(np.float16),
        np.stack([np.asarray(true, np.float32).sum(axis=0) for true, _ in donors]).astype(np.float16),
    )


def _cells(state: Lifted) -> np.ndarray:
    """(rows, columns): the state's line integrals, averaged over the cells of its depth distribution."""
    return _pooled(state.p, state)


def _pooled(pixels: np.ndarray, state: Lifted) -> np.ndarray:
    rows, columns = state.w.shape[1:]
    n = pixels.shape[0] // rows
    return pixels.reshape(rows, n, columns, n).mean(axis=(1, 3)).astype(np.float32)


def _shrunk(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, LIKENESS_CELLS)


def _affine(free: Tensor) -> Tensor:
    """(n, 2, 3) of bounded logarithms of scale and shifts (n, 4): columns, then rows."""
    scale = (LOG_SCALE * torch.tanh(free[:, :2])).exp()
    shift = SHIFT * torch.tanh(free[:, 2:])
    zero = torch.zeros_like(scale[:, 0])
    return torch.stack(
        [
            torch.stack([scale[:, 0], zero, shift[:, 0]], dim=1),
            torch.stack([zero, scale[:, 1], shift[:, 1]], dim=1),
        ],
        dim=1,
    )


def _moved(x: Tensor, affine: Tensor) -> Tensor:
    return F.grid_sample(x, F.affine_grid(affine, list(x.shape), align_corners=False), align_corners=False)
