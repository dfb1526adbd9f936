"""Radially averaged power: how much detail there is at every scale."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.floating]

BANDS = ((0.02, 0.06), (0.06, 0.12), (0.12, 0.25), (0.25, 0.5))  # of the Nyquist frequency
PATCH = 24  # voxels, 48 mm on the CTs' grid


def radial_power(images: Array) -> Array:
    """Power in dB of square images (n, s, s) -> (n, s // 2), at frequencies 0, 1, ... cycles per image.

    Mean over a ring of |FFT|^2 / s^2 of the Hann-windowed image less its mean: white noise of variance v has
    10 log10 v at every frequency.
    """
    size = images.shape[-1]
    hann = np.hanning(size + 2)[1:-1]
    window = np.outer(hann, hann)
    window /= np.sqrt(np.square(window).mean())
    mean = (images * window).mean((1, 2), keepdims=True) / window.mean()
    power = np.abs(np.fft.fft2((images - mean) * window)) ** 2 / size**2
    cycles = np.fft.fftfreq(size, 1 / size)
    ring = np.rint(np.hypot(cycles[:, None], cycles)).astype(int).ravel()
    inside = ring < size // 2
    rings = [np.bincount(ring[inside], image.ravel()[inside]) for image in power]
    return 10 * np.log10(np.maximum(np.array(rings) / np.bincount(ring[inside]), 1e-12))


def band_means(spectrum_db: Array) -> Array:
    """(..., s // 2) in dB -> (..., 4): mean over each of `BANDS`; NaN for a band without a frequency."""
    share = np.arange(spectrum_db.shape[-1]) / spectrum_db.shape[-1]
    chosen = [(share >= low) & (share < high) for low, high in BANDS]
    return np.stack([spectrum_db[..., c].mean(-1) if c.any() else spectrum_db[..., 0] * np.nan for c in chosen], -1)


def lung_spectrum(hu: Array, gas: NDArray[np.bool_]) -> Array:
    """Mean spectrum in dB of the axial patches (24, 24) that lie in the lungs, vessels included; NaN for none.

    Args:
        hu: (nx, ny, nz), on a grid like that of the CTs (2 mm).
        gas: bool, same shape; vessels are closed into it plane by plane.
    """
    patches = []
    for plane in range(0, hu.shape[2], 4):
        closed = ndimage.binary_closing(gas[:, :, plane], iterations=3)
        filled = ndimage.binary_fill_holes(closed)
        # a filled mask would take in a heart that lungs surround: no vessel is that large
        filled = closed | (filled & ~ndimage.binary_opening(filled & ~closed, iterations=4))
        for x in range(0, hu.shape[0] - PATCH + 1, PATCH // 2):
            for y in range(0, hu.shape[1] - PATCH + 1, PATCH // 2):
                box = slice(x, x + PATCH), slice(y, y + PATCH)
                if filled[box].all():
                    patches.append(hu[box][..., plane])
    if not patches:
        return np.full(PATCH // 2, np.nan)
    return radial_power(np.stack(patches).astype(np.float64)).mean(0)


def compare(real: dict[str, dict[str, np.ndarray]], virtual: dict[str, np.ndarray], pairs: Array) -> dict:
    """Virtual less real in dB per band: frontals per CT on the fixed scale p, lung per CT, prepared pairs.

    Args:
        real: the CTs, from `scans.load`.
        virtual: stacked arrays of `scans.measure`, and `pairs`.
        pairs: real ones, (n, 2, 112, 112).
    """

    def mean_power(images: Array) -> Array:
        return radial_power(images.astype(np.float64)).mean(0)

    frontal, lung = mean_power(virtual["frontal"]), np.nanmean(virtual["lung_spectrum"], axis=0)
    curves: dict = {"frontal": {"virtual": frontal}, "lung": {"virtual": lung}}
    differences: dict = {}
    for name, arrays in real.items():
        curves["frontal"][name] = mean_power(arrays["frontal"][None])
        curves["lung"][name] = arrays["lung_spectrum"]
    for view, name in enumerate(("prepared frontal", "prepared lateral")):
        curves[name] = {"virtual": mean_power(virtual["pairs"][:, view]), "real pairs": mean_power(pairs[:, view])}
    for kind, found in curves.items():
        differences[kind] = {
            name: [None if np.isnan(db) else float(db) for db in band_means(found["virtual"] - curve)]
            for name, curve in found.items()
            if name != "virtual"
        }
    plain = {kind: {name: curve.tolist() for name, curve in found.items()} for kind, found in curves.items()}
    return {"bands_of_nyquist": BANDS, "virtual_minus_real_db": differences, "curves_db": plain}
