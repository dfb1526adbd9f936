"""What a detector makes of line integrals: blur and quantum noise, at a stated dose.

Stored views are exact line integrals; this is for whoever wants to look at, or train on, what a real exposure leaves of
them.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from ..core.errors import InputError

MAX_PHOTONS = 1e15  # relative noise of 3e-8, less than float32 resolves; numpy's Poisson ends at 9e18


def detect(
    p: np.ndarray, photons: float, pixel_mm: float = 1.0, blur_mm: float = 0.0, seed: int | None = 0
) -> np.ndarray:
    """Line integrals as a photon-counting exposure would show them, float32 of the shape of `p`.

    Beer and Lambert: `photons` exp(-p) quanta are expected in a pixel. The detector spreads them (a Gaussian
    modulation transfer function, exp(-2 (pi sigma f)^2)), counts them (Poisson), and the logarithm is taken again.
    Where counts are high, the noise of p has the variance exp(p) / photons. A pixel that counts nothing reads half a
    quantum.

    Args:
        p: (..., rows, columns) line integrals.
        photons: quanta that reach a pixel with nothing in the way: the dose. An air kerma of 1 uGy at the detector is
            about 30,000 of them per square millimetre (IEC 62220-1:2003, table 2: 30,174 at RQA5, 32,362 at RQA7).
        pixel_mm: size of a pixel, to which `blur_mm` relates.
        blur_mm: standard deviation of the spread on the detector; 0 is none.
        seed: of the noise; None is another one every time.

    Raises:
        InputError: `photons` or `pixel_mm` is not positive, `blur_mm` is negative, `p` is not finite, or a pixel would
            count more than 1e15 quanta.
    """
    p = np.asarray(p, np.float64)
    if not (np.isfinite(photons) and photons > 0 and pixel_mm > 0 and blur_mm >= 0):
        raise InputError(
            f"a detector needs photons and pixel_mm above 0 and blur_mm of at least 0, "
            f"got photons={photons}, pixel_mm={pixel_mm}, blur_mm={blur_mm}"
        )
    if p.ndim < 2 or not np.isfinite(p).all():
        raise InputError(f"a detector needs finite line integrals (..., rows, columns), got shape {p.shape}")
    sigma = (0.0,) * (p.ndim - 2) + (blur_mm / pixel_mm,) * 2
    expected = photons * gaussian_filter(np.exp(-p), sigma, mode="reflect")
    if expected.max(initial=0) > MAX_PHOTONS * (1 + 1e-9):
        raise InputError(f"a pixel would count {expected.max():.3g} quanta, at most {MAX_PHOTONS:g}: lower photons")
    counts = np.random.default_rng(seed).poisson(expected)
    return -np.log(np.maximum(counts, 0.5) / photons).astype(np.float32)
