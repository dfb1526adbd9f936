"""How good a predicted view is: PSNR, SSIM and skill over the mean view.

Every number is computed on `unit(p)` = clip(p, 0, 10) / 10 with a data range of 1, so that results of different runs,
sizes and cohorts stay comparable: nothing is stretched per image.
"""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..statistics.intervals import Resamples

Array = NDArray[np.floating]

P_MAX = 10.0  # a lateral through the shoulders reaches p = 8.4, so nothing of a chest is clipped
DATA_RANGE = 1.0
PSNR_CAP_DB = 100.0  # MSE is floored at 1e-10, so identical images give 100 dB and JSON never sees infinity
BEYOND_DEG = 30.0  # nearer to the input than this, a view is almost a copy of it

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2


def unit(p: ArrayLike) -> Array:
    """Line integrals p, any shape -> float32 in [0, 1], the scale of all view metrics."""
    return np.clip(np.asarray(p, np.float32), 0, P_MAX) / np.float32(P_MAX)


def mse(predicted: Array, truth: Array, where: NDArray[np.bool_] | None = None) -> Array:
    """Mean squared error of images (..., h, w) -> float64 (...), of all pixels or of those in a mask of some."""
    difference = np.asarray(predicted, np.float32) - np.asarray(truth, np.float32)
    return np.mean(np.square(difference), axis=(-2, -1), dtype=np.float64, where=True if where is None else where)


def psnr(predicted: Array, truth: Array) -> Array:
    """Peak signal-to-noise ratio in dB of unit images (..., h, w) -> float64 (...), at most `PSNR_CAP_DB`."""
    return psnr_from_mse(mse(predicted, truth))


def psnr_from_mse(error: ArrayLike) -> Array:
    """PSNR in dB of a mean squared error on the unit scale."""
    return -10 * np.log10(np.maximum(error, 10 ** (-PSNR_CAP_DB / 10)))


def ssim(predicted: Array, truth: Array) -> Array:
    """Structural similarity of unit images (..., h, w) -> float64 (...).

    Wang et al., IEEE Trans. Image Process. 13 (2004) 600: Gaussian window of 11 pixels, sigma 1.5, K1 = 0.01,
    K2 = 0.03, averaged over the pixels whose window lies inside the image.

    Raises:
        ValueError: an image is smaller than the window.
    """
    x, y = np.asarray(predicted, np.float32), np.asarray(truth, np.float32)
    if min(y.shape[-2:]) < _WINDOW:
        raise ValueError(f"SSIM needs images of at least {_WINDOW} x {_WINDOW} pixels, got {y.shape[-2:]}")
    rows, columns = _valid_gaussian(y.shape[-2]), _valid_gaussian(y.shape[-1])

    def blur(images: Array) -> Array:
        # two large products for the whole stack: many small ones stall where threads outnumber the cores
        across = images.reshape(-1, images.shape[-1]) @ columns.T
        upright = across.reshape(-1, images.shape[-2], len(columns)).swapaxes(1, 2).reshape(-1, images.shape[-2])
        return (upright @ rows.T).reshape(*images.shape[:-2], len(columns), len(rows))

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return np.mean(luminance * structure, axis=(-2, -1), dtype=np.float64)


@cache
def _valid_gaussian(length: int) -> Array:
    """The 1-D window as a matrix (length - 10, length): two BLAS products then filter a whole stack of images."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    weights /= weights.sum()
    matrix = np.zeros((length - _WINDOW + 1, length), np.float32)
    for row in range(len(matrix)):
        matrix[row, row : row + _WINDOW] = weights
    return matrix


def r2(error: Array, null_error: Array) -> Array:
    """Skill over the mean view, from MSEs (cases, angles) -> float64 (angles,).

    R2 = 1 - MSE / MSE(mean view at that angle), both summed over the cases: a case that happens to look like the mean
    does not dominate, as it would in a mean of ratios. 1 is perfect, 0 is no better than the mean view.
    """
    return 1 - np.sum(error, axis=0) / np.maximum(np.sum(null_error, axis=0), 1e-12)


def r2_interval(error: Array, null_error: Array, draws: int = 1000, seed: int = 0) -> tuple[float, float] | None:
    """95 % interval over patients of the mean over angles of `r2`; None for fewer than two patients."""
    some = Resamples.of(len(error), draws, seed)
    resampled = 1 - (some.counts @ error) / np.maximum(some.counts @ null_error, 1e-12)  # (1 + draws, angles)
    return some.interval(resampled.mean(axis=1), (-np.inf, 1.0))
