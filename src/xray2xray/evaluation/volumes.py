"""How good a reconstructed volume is, in Hounsfield units and inside the body only: air around it is easy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..volume.chest import Chest, isocentre_mm
from ..volume.volume import Volume, canonical
from .metrics import Array

HU_RANGE = (-1000.0, 1500.0)  # a range of 2,500 HU
TISSUES = {"lung": (-1100.0, -500.0), "fat": (-150.0, -30.0), "soft": (-30.0, 150.0), "bone": (200.0, 4000.0)}
"""HU intervals, read from the truth, over which the mean absolute error is given."""


def resample(volume: Volume, grid: Volume, centre_mm: Array | None = None) -> Volume:
    """`volume` on the voxels of `grid`, whose RAS origin is put at `centre_mm`; trilinear, -1000 HU outside.

    Args:
        centre_mm: (3,) RAS mm in `volume`, by default its isocentre: a reconstruction has it at its own origin.
    """
    hu = _sampled(volume, grid, isocentre_mm(volume) if centre_mm is None else centre_mm, order=1, outside=-1000.0)
    return Volume(hu, grid.affine, volume.source)


def resample_labels(labels: Volume, grid: Volume, centre_mm: Array) -> NDArray[np.uint8]:
    """Label numbers (0 to 255) on the voxels of `grid` as in `resample`, by the nearest voxel; 0 outside.

    `labels` may have another grid than the scan: its affine says where it lies, and `centre_mm` is the scan's.
    """
    return _sampled(labels, grid, centre_mm, order=0, outside=0.0).astype(np.uint8)


def _sampled(volume: Volume, grid: Volume, centre_mm: Array, order: int, outside: float) -> Array:
    shift = np.eye(4)
    shift[:3, 3] = centre_mm
    to_index = np.linalg.inv(volume.affine) @ shift @ grid.affine
    found: Array = ndimage.affine_transform(
        volume.hu, to_index[:3, :3], to_index[:3, 3], grid.shape, order=order, mode="constant", cval=outside
    )
    return found


def volume_scores(predicted: Volume, truth: Volume) -> dict[str, Any]:
    """Compare a reconstruction with the truth on the same grid (see `resample`).

    Returns:
        `psnr` over 2,500 HU, `ssim` in 3D (Gaussian, sigma 1.5 voxels) and `mae_hu` inside the true body; `mae_hu` of
        each tissue where there is any; `lung_dice`; `x2ct_compat_psnr`, a footnote for comparison with X2CT-GAN
        (peak 4095, mean of the slices' dB, air included: it flatters by over 4 dB).

    Raises:
        ValueError: the grids differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"volumes of {predicted.shape} and {truth.shape} voxels; resample the truth first")
    truth = Chest.of(truth)
    tissues = regions(truth)
    body = tissues.pop("body")
    x, y = np.clip(predicted.hu, *HU_RANGE), np.clip(truth.hu, *HU_RANGE)
    error = np.abs(x - y)
    width = HU_RANGE[1] - HU_RANGE[0]
    inside_mse = float(np.mean(np.square(error[body]), dtype=np.float64))
    return {
        "psnr": _decibel(width, inside_mse),
        "ssim": float(_ssim_map(x / width, y / width)[body].mean()),
        "mae_hu": float(error[body].mean()),
        "mae_hu_by_tissue": {name: float(error[here].mean()) for name, here in tissues.items()},
        "lung_dice": dice(Chest.of(predicted).lungs, truth.lungs),
        "x2ct_compat_psnr": x2ct_compat(predicted.hu, truth.hu),
    }


def regions(truth: Chest) -> dict[str, NDArray[np.bool_]]:
    """Masks of `body` (everything where none is found), and of each of the `TISSUES` that is in it."""
    body = truth.body if truth.body.any() else np.ones(truth.shape, bool)
    tissues = {name: body & (truth.hu >= low) & (truth.hu < high) for name, (low, high) in TISSUES.items()}
    return {"body": body, **{name: here for name, here in tissues.items() if here.any()}}


def organ_errors(
    predicted: Volume, truth: Volume, labels: NDArray[np.uint8], names: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Errors inside each labelled organ, by its name.

    Args:
        labels: label numbers on the same grid (see `resample_labels`); 0 is none.
        names: of the labels 1, 2, and so on; one without a name is called `label N`.

    Returns:
        `bias_hu`, the mean HU that is predicted minus the true one, and `mae_hu`, of voxels clipped to `HU_RANGE`.
    """
    error = np.clip(predicted.hu, *HU_RANGE) - np.clip(truth.hu, *HU_RANGE)
    found = {}
    for number in np.unique(labels[labels > 0]).tolist():
        inside = error[labels == number]
        name = names[number - 1] if number <= len(names) else f"label {number}"
        found[name] = {"bias_hu": float(inside.mean()), "mae_hu": float(np.abs(inside).mean())}
    return found


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """2 |a and b| / (|a| + |b|); 1 where both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def display_planes(volume: Volume, most: int = 128) -> tuple[NDArray[np.uint8], tuple[float, float, float]]:
    """A volume for the report: uint8 (nx, ny, nz) of (HU + 1024) / 10 in canonical axes, and its spacing in mm.

    Axes longer than `most` voxels are thinned, because a page has to stay small.
    """
    volume = canonical(volume)
    factors = [min(1.0, most / n) for n in volume.shape]
    hu = volume.hu if min(factors) == 1 else ndimage.zoom(volume.hu, factors, order=1)
    spacing = [float(mm * n / m) for mm, n, m in zip(volume.spacing_mm, volume.shape, hu.shape, strict=True)]
    return np.clip((hu + 1024) / 10, 0, 255).round().astype(np.uint8), (spacing[0], spacing[1], spacing[2])


def _ssim_map(x: Array, y: Array) -> Array:
    """Local SSIM at every voxel of two volumes on a data range of 1; constants as in `metrics.ssim`."""
    c1, c2 = 0.01**2, 0.03**2

    def blur(image: Array) -> Array:
        return ndimage.gaussian_filter(image, 1.5, truncate=3.5)

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (var_x + var_y + c2)


def x2ct_compat(predicted: Array, truth: Array) -> float:
    """PSNR as X2CT-GAN measures it: mean of the axial slices' dB of HU (x, y, z), peak 4095, air included.

    An empty slice counts 100 dB: leave out those that the scan does not reach.
    """
    x, y = (np.clip(hu + 1024, 0, 2500) for hu in (predicted, truth))
    slices = np.square(x - y).mean(axis=(0, 1)).tolist()
    return float(np.mean([_decibel(4095, error) for error in slices]))


def _decibel(peak: float, error: float) -> float:
    """PSNR, at most 100 dB."""
    return float(min(20 * np.log10(peak) - 10 * np.log10(max(error, 1e-12)), 100.0))
