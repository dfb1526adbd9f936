"""How sharp an imagined view is, and whether its detail is the right one: arrays in, numbers out.

PSNR and SSIM are decided by what is large: most of a prediction's error lies below an eighth of the Nyquist frequency.
These measures look at the rest. All images are unit views (..., h, w), square, on the scale of `metrics.unit`.

A spectrum is that of the view without its mean, times a Hann window. Without a window the step between opposite borders
of a view leaks into every frequency: truth and prediction share it, and a blurred view seems sharp.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, prewitt
from scipy.stats import rankdata

from ..statistics.auroc import won_pairs
from ..statistics.resampling import draw_patients, interval
from .metrics import Array
from .results import Estimate

Indices = NDArray[np.intp]

BANDS = {"4-8": (1 / 16, 1 / 8), "8-16": (1 / 8, 1 / 4), "16-32": (1 / 4, 1 / 2), "32-64": (1 / 2, 1.0)}
"""Cycles per picture of 128 pixels -> the band's ends as fractions of the Nyquist frequency, which other sizes use."""
DETAIL = (0.12, 0.25)  # of Nyquist: where the horizontal detail is correlated with the truth
SECTOR_DEG = 15.0  # horizontal detail: |fx| < tan(15 degrees) |fy|, domes, ribs and end plates
GMS_CONSTANT = 0.0026  # Xue et al.: 170 on the scale of 0 to 255
HIGH_PASS_MM = 12.0  # on the detector: what is wider than a rib or the edge of a vertebra is taken off
BONE_MM = 10.0  # of bone more than around it make a pixel one of a bone
BODY_UNIT = 0.03  # p of 0.3: beside the body there is nothing to find
FOLDS = 5
LEAST_PATIENTS = 10  # fewer do not teach a two-sample test


# ---------------------------------------------------------------- spectra


@dataclass(frozen=True)
class Spectra:
    """Sums over the Fourier plane, float64 (..., 2, rings): in rings of one cycle, [r, r + 1), from the mean (0) to
    Nyquist; first outside the sector of horizontal detail, then inside it.

    Attributes:
        predicted, truth: squared magnitudes.
        cross: real part of the prediction times the conjugated truth.
    """

    predicted: Array
    truth: Array
    cross: Array


def spectra(predicted: Array, truth: Array, window: bool = True) -> Spectra:
    """The spectra of views (..., h, h), and their cross spectrum; `window` is Hann's, else none."""
    p, t = (_transform(np.asarray(images, np.float32), window) for images in (predicted, truth))
    return Spectra(_ring_sums(_square(p)), _ring_sums(_square(t)), _ring_sums(p.real * t.real + p.imag * t.imag))


def power_db(found: Spectra) -> Array:
    """Power of the prediction over that of the truth in each of `BANDS`, in dB: (..., bands); NaN without a ring."""
    predicted, truth = (
        np.stack([_band(power.sum(axis=-2), *ends).sum(axis=-1) for ends in BANDS.values()], axis=-1)
        for power in (found.predicted, found.truth)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = 10 * np.log10((predicted + _LEAST) / (truth + _LEAST))
    return np.where(truth > 0, decibels, np.nan)


def ring_correlation(found: Spectra) -> Array:
    """Fourier ring correlation with the truth in each of `BANDS`, (..., bands): mean over the rings of a band.

    Saxton and Baumeister, J. Microsc. 127 (1982) 127: the normalised cross spectrum of each ring. 1 for the right
    detail, 0 for any other; whatever its power. A ring without detail counts 0; NaN without a ring.
    """
    total = Spectra(*(part.sum(axis=-2) for part in (found.predicted, found.truth, found.cross)))
    return np.stack([_mean(_band(_correlation(total), *ends)) for ends in BANDS.values()], axis=-1)


def horizontal_correlation(found: Spectra) -> Array:
    """Fourier ring correlation (...) of horizontal detail: within `SECTOR_DEG` of the vertical, in `DETAIL`."""
    inside = Spectra(found.predicted[..., 1, :], found.truth[..., 1, :], found.cross[..., 1, :])
    return _mean(_band(_correlation(inside), *DETAIL))


def spectral_features(power: Array) -> Array:
    """What the two-sample test sees of views: log10 of their power (..., 2, rings) in bands half an octave wide."""
    rings = power.shape[-1]
    ends = np.unique(np.round(2 ** np.arange(1, np.log2(rings) + 0.25, 0.5)).astype(int))
    bands = [power[..., low:high].sum(axis=-1) for low, high in pairwise(ends)]
    return np.log10(np.concatenate(bands, axis=-1) + _LEAST)


_LEAST = 1e-12  # power of what is empty, so that a logarithm exists


def _transform(images: Array, window: bool) -> NDArray[np.complexfloating]:
    images = images - images.mean(axis=(-2, -1), keepdims=True)
    if window:
        hann = np.hanning(images.shape[-1]).astype(np.float32)
        images = images * (hann[:, None] * hann)
    return np.fft.rfft2(images)


def _square(f: NDArray[np.complexfloating]) -> Array:
    return f.real**2 + f.imag**2


def _ring_sums(half_plane: Array) -> Array:
    """(..., h, h // 2 + 1) -> (..., 2, rings); columns of the half plane that stand for two count twice."""
    height = half_plane.shape[-2]
    order, starts, cells, weights = _rings(height)
    flat = half_plane.reshape(*half_plane.shape[:-2], -1)[..., order] * weights
    sums = np.zeros((*flat.shape[:-1], height), np.float64)
    sums[..., cells] = np.add.reduceat(flat, starts, axis=-1, dtype=np.float64)
    return sums.reshape(*flat.shape[:-1], 2, height // 2)


@cache
def _rings(height: int) -> tuple[Indices, Indices, Indices, Array]:
    """Entries of the half plane sorted by their cell (sector and ring), where each cell begins, which; weights."""
    fy = np.fft.fftfreq(height, 1 / height)[:, None]
    fx = np.arange(height // 2 + 1)[None]
    ring = np.floor(np.hypot(fy, fx)).astype(int)
    sector = fx < np.tan(np.deg2rad(SECTOR_DEG)) * np.abs(fy)
    cell = (ring + sector * (height // 2)).ravel()
    weights = np.broadcast_to(np.where((fx > 0) & (fx < height / 2), 2, 1), ring.shape).ravel()
    kept = np.flatnonzero(ring.ravel() < height // 2)
    order = kept[np.argsort(cell[kept], kind="stable")]
    cells, starts = np.unique(cell[order], return_index=True)
    return order, starts, cells, weights[order].astype(np.float32)


def _band(values: Array, low: float, high: float) -> Array:
    """The rings of a band that ends at these fractions of Nyquist, without the mean."""
    rings = values.shape[-1]
    return values[..., max(1, round(low * rings)) : round(high * rings)]


def _correlation(found: Spectra) -> Array:
    scale = np.sqrt(found.predicted * found.truth)
    return np.divide(found.cross, scale, out=np.zeros_like(scale), where=scale > _LEAST)


def _mean(values: Array) -> Array:
    """Mean over the last axis; NaN where it is empty."""
    return values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


# ---------------------------------------------------------------- edges and bones


def gradient_similarity(predicted: Array, truth: Array) -> Array:
    """Mean similarity (...) of the gradient magnitudes of views: 1 is equal, lower is blurred, or sharp elsewhere.

    Xue et al., IEEE Trans. Image Process. 23 (2014) 684, with their filter (Prewitt's, divided by 3) and constant, but
    at full resolution: they halve it first.
    """
    p, t = (_gradient(np.asarray(images, np.float32)) for images in (predicted, truth))
    similarity = (2 * p * t + GMS_CONSTANT) / (p**2 + t**2 + GMS_CONSTANT)
    return similarity.mean(axis=(-2, -1), dtype=np.float64)


def _gradient(images: Array) -> Array:
    down, across = (prewitt(images, axis=axis, mode="nearest") / 3 for axis in (-2, -1))
    return np.hypot(down, across)


def bone_auroc(predicted: Array, bone_mm: Array, truth: Array, pixel_mm: float) -> Array:
    """How well the high-passed views tell the bones of the true scan, (...): AUROC over the pixels of the true body.

    A pixel is one of a bone where its ray runs `BONE_MM` further through bone than the rays around it do on average:
    the ray's own length through bone does not tell ribs, because most rays of a chest pass some bone. The truth itself
    does not reach 1, as vessels and skin are detail too: compare with it.

    Args:
        predicted, truth: (..., h, w) unit views.
        bone_mm: (..., h, w), length of each ray inside bone.
        pixel_mm: of the detector.

    Returns:
        float64 (...); NaN where a view shows no bone, or nothing else.
    """
    sigma = (0.0,) * (predicted.ndim - 2) + (HIGH_PASS_MM / pixel_mm,) * 2

    def high_passed(images: Array) -> Array:
        images = np.asarray(images, np.float32)
        return images - gaussian_filter(images, sigma, mode="nearest")

    shape = predicted.shape[:-2]
    scores = high_passed(predicted).reshape(-1, *predicted.shape[-2:])
    bones = (high_passed(bone_mm) > BONE_MM).reshape(scores.shape)
    bodies = (truth > BODY_UNIT).reshape(scores.shape)
    found = [_pixel_auroc(bone[body], score[body]) for score, bone, body in zip(scores, bones, bodies, strict=True)]
    return np.array(found).reshape(shape)


def _pixel_auroc(labels: np.ndarray, scores: Array) -> float:
    """From ranks: `statistics.auroc` compares all pairs, 100 million of them in one view."""
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return float("nan")
    return float((rankdata(scores)[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


# ---------------------------------------------------------------- real or imagined


def two_sample(real: Array, imagined: Array, seed: int = 0) -> Estimate | None:
    """AUROC with which a linear classifier tells imagined from real views of patients it has not learned from.

    Logistic regression on standardised features, five folds of whole patients (a classifier two-sample test: Lopez-Paz
    and Oquab, ICLR 2017). 0.5: they look alike to it; 1: each is recognised.

    Args:
        real, imagined: (patients, views, features), the same patients and angles.

    Returns:
        the AUROC with a 95 % bootstrap interval over patients; None for fewer than `LEAST_PATIENTS`.
    """
    n = len(real)
    if n < LEAST_PATIENTS:
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    both = np.stack([real, imagined])  # (2, patients, views, features)
    scores = np.empty(both.shape[:-1])
    fold = np.random.default_rng(seed).permutation(n) % FOLDS
    for held in range(FOLDS):
        train = both[:, fold != held]
        labels = np.repeat([0, 1], train[0][..., 0].size)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(train.reshape(len(labels), -1), labels)
        tested = both[:, fold == held]
        scores[:, fold == held] = model.decision_function(tested.reshape(-1, both.shape[-1])).reshape(tested.shape[:-1])
    # wins of each imagined over each real patient: a resample of patients then is one small product
    wins = np.stack(
        [won_pairs(mine, scores[0].ravel()).reshape(-1, *scores[0].shape).mean((0, 2)) for mine in scores[1]]
    )
    counts = draw_patients(n, seed=seed)
    return Estimate(float(wins.mean()), interval(np.einsum("di,di->d", counts @ wins, counts) / n**2))
