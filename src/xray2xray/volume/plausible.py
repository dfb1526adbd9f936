"""Whether numbers can be a chest CT in HU."""

import numpy as np

from ..core.errors import InputError
from .volume import Volume

MIN_EXTENT_MM = (200.0, 200.0, 150.0)  # right, anterior, superior: less is not a chest
MAX_EXTENT_MM = (1000.0, 1000.0, 2500.0)  # wider than any bore, longer than any human
MAX_HU = 31_000.0  # 12 bits with slope 10 and intercept -10,240, the extended scale for metal, reach 30,710
GAS_HU, SOFT_HU = (-1100.0, -500.0), (-200.0, 200.0)  # air and lungs; fat, water, muscle
LEAST_SHARE = 0.01  # of the voxels must be each of these
THICK_MM, MAX_SPACING_MM = 10.0, 20.0  # between voxels; thicker slices are no sampling of ribs or domes
LEAST_LIKENESS, NOISY = 0.5, 0.8  # correlation of neighbouring voxels
_VALUES = 1_000_000  # about as many are looked at
_UNITS = {1000.0: "metres", 10.0: "centimetres", 0.001: "micrometres"}  # mm in a unit


def check_chest_ct(volume: Volume, where: str, sizes: str = "the header's voxel sizes") -> tuple[str, ...]:
    """Raise InputError unless a canonical `volume` has the size of a chest and the values of a CT in HU.

    Returns what has to be said of it: thick slices, noise.

    The distribution decides, not the extremes: padding and metal have any value. In HU there is gas (air, lungs)
    between -1,100 and -500, and soft tissue about 0; values that were stored without their rescale lack the first.

    Args:
        volume: index axes right, anterior, superior.
        where: the file, for messages.
        sizes: which fields of its header give the size of a voxel, for messages.
    """
    _check_extent(volume.extent_mm, where, sizes)
    low, high = float(volume.hu.min()), float(volume.hu.max())
    if low > -200 or high < 200:
        raise InputError(f"{where}: values from {low:.4g} to {high:.4g} do not look like HU; give a CT in HU")
    if high > MAX_HU:
        raise InputError(
            f"{where}: values up to {high:.6g} HU, more than any metal has (padding that its header hides?); "
            "set what was not measured to -1024 HU"
        )
    hu = volume.hu.reshape(-1)[:: max(1, volume.hu.size // _VALUES) | 1]  # odd: not the same columns of each row
    hu = hu[hu > -1500]  # padding outside the scanner's circle
    gas, soft = (
        float(np.mean((hu > lowest) & (hu < highest))) if hu.size else 0.0 for lowest, highest in (GAS_HU, SOFT_HU)
    )
    if min(gas, soft) < LEAST_SHARE:
        raise InputError(
            f"{where}: {100 * gas:.1f} % of the values are gas (-1,100 to -500 HU) and {100 * soft:.1f} % soft tissue "
            "(-200 to 200 HU), which do not look like HU of a chest (stored values without rescale?); give a CT in HU"
        )
    return (*_check_spacing(volume, where), *_check_noise(volume.hu, where))


def _check_spacing(volume: Volume, where: str) -> tuple[str, ...]:
    widest = float(volume.spacing_mm.max())
    if widest > MAX_SPACING_MM:
        raise InputError(
            f"{where}: {widest:.3g} mm from slice to slice are too far apart for views from the side; give "
            f"a series with at most {MAX_SPACING_MM:g} mm"
        )
    return (f"thick slices: {widest:.3g} mm, views are as coarse",) if widest > THICK_MM else ()


def _check_noise(hu: np.ndarray, where: str) -> tuple[str, ...]:
    """Neighbours across agree in every scan (0.957 at least in ten, and in virtual patients), those of noise do not."""
    step = max(1, round((hu.size / _VALUES) ** 0.5))
    across = np.clip(hu[:, ::step, ::step], -1000, 1000)
    here, there = across[:-1].ravel(), across[1:].ravel()
    likeness = float(np.corrcoef(here, there)[0, 1]) if here.std() > 0 and there.std() > 0 else 0.0
    if likeness < LEAST_LIKENESS:
        raise InputError(
            f"{where}: neighbouring voxels have little in common (correlation {likeness:.2f}): noise, or planes "
            "without values, are no scan; export it again"
        )
    return (f"very noisy: neighbouring voxels correlate by {likeness:.2f} only",) if likeness < NOISY else ()


def _check_extent(extent_mm: np.ndarray, where: str, sizes: str) -> None:
    if _fits(extent_mm):
        return
    size, least, most = (
        " x ".join(f"{mm:.0f}" for mm in values) for values in (extent_mm, MIN_EXTENT_MM, MAX_EXTENT_MM)
    )
    unit = next((name for mm, name in _UNITS.items() if _fits(extent_mm * mm)), None)
    hint = f"its sizes look like {unit} called mm: correct {sizes}" if unit else "give a chest CT"
    if (extent_mm > np.array(MAX_EXTENT_MM)).any():
        raise InputError(f"{where}: the scan is {size} mm, larger than any human ({most} mm); {hint}")
    raise InputError(f"{where}: the scan is {size} mm, a chest needs at least {least} mm; {hint}")


def _fits(extent_mm: np.ndarray) -> bool:
    low, high = np.array(MIN_EXTENT_MM) - 1e-3, np.array(MAX_EXTENT_MM)
    return bool(((extent_mm >= low) & (extent_mm <= high)).all())
