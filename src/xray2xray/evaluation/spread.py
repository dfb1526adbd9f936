"""Is a predicted distribution sharp and honest? Arrays of one case in, sums over its pixels out; then over cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from ..statistics.ensembles import central_interval, crps, crps_normal, pit
from . import metrics
from .metrics import Array

LEVELS = (0.5, 0.8, 0.95)
BINS = 10


@dataclass(frozen=True)
class Marginals:
    """A forecast of every pixel, averaged over the pixels of each region (regions, angles, ...); NaN where it has none.

    `crps` and `error` (of the forecast's centre) in p; `covered` and `width` (levels,) of the central intervals; `pit`
    (bins,) shares.
    """

    crps: Array
    error: Array
    covered: Array
    width: Array
    pit: Array


def of_samples(samples: Array, truth: Array, regions: np.ndarray, seed: int = 0) -> Marginals:
    """Samples (s, angles, h, w), truth (angles, h, w), regions bool (regions, angles, h, w)."""
    ends = [central_interval(samples, level) for level in LEVELS]
    error = np.abs(samples.mean(axis=0) - truth)
    return _by_region(crps(samples, truth), error, pit(samples, truth, seed), ends, truth, regions)


def of_normal(mean: Array, sd: Array, truth: Array, regions: np.ndarray) -> Marginals:
    """The same of a normal distribution at each pixel, mean and SD (angles, h, w)."""
    sd = np.maximum(sd, 1e-6)
    ends = [(mean - ndtri((1 + level) / 2) * sd, mean + ndtri((1 + level) / 2) * sd) for level in LEVELS]
    transform = ndtr((truth - mean) / sd)
    return _by_region(crps_normal(mean, sd, truth), np.abs(mean - truth), transform, ends, truth, regions)


def _by_region(
    score: Array,
    error: Array,
    transform: Array,
    ends: Sequence[tuple[Array, Array]],
    truth: Array,
    regions: np.ndarray,
) -> Marginals:
    count = regions.sum(axis=(-2, -1)).astype(np.float64)
    count[count == 0] = np.nan

    def mean(values: np.ndarray) -> Array:
        return np.einsum("rahw,ahw->ra", regions, values.astype(np.float64), optimize=True) / count

    cell = np.minimum((transform * BINS).astype(int), BINS - 1)
    return Marginals(
        crps=mean(score),
        error=mean(error),
        covered=np.stack([mean((low <= truth) & (truth <= high)) for low, high in ends], axis=-1),
        width=np.stack([mean(high - low) for low, high in ends], axis=-1),
        pit=np.stack([mean(cell == i) for i in range(BINS)], axis=-1),
    )


def summarise_marginals(
    cases: Sequence[Marginals], regions: Sequence[str], yaw_deg: Sequence[float], seed: int = 0
) -> dict[str, Any]:
    """{region: {"crps", "crps_ci95", "error", "covered", "covered_ci95", "width", "pit", "per_angle"}}: every patient
    counts alike, every angle of his alike; intervals over patients."""
    found: dict[str, Any] = {}
    for r, name in enumerate(regions):
        score, error, covered, width, histogram = (
            np.stack([getattr(case, what)[r] for case in cases])
            for what in ("crps", "error", "covered", "width", "pit")
        )
        known = np.isfinite(score).any(axis=1)  # patients with such a region
        if not known.any():
            continue
        score, error, covered, width, histogram = (v[known] for v in (score, error, covered, width, histogram))
        patients = np.nanmean(covered, axis=1)  # (patients, levels)
        found[name] = {
            "n": int(known.sum()),
            "crps": float(np.nanmean(score)),
            "crps_ci95": _interval(np.nanmean(score, axis=1), seed),
            "error": float(np.nanmean(error)),
            "covered": {_key(level): float(v) for level, v in zip(LEVELS, patients.mean(axis=0), strict=True)},
            "covered_ci95": {_key(level): _interval(patients[:, i], seed) for i, level in enumerate(LEVELS)},
            "width": {_key(level): float(v) for level, v in zip(LEVELS, np.nanmean(width, axis=(0, 1)), strict=True)},
            "pit": np.nanmean(histogram, axis=(0, 1)).tolist(),
            "per_angle": {
                f"{yaw:g}": {
                    "crps": _mean(score[:, a]),
                    "covered": {_key(level): _mean(covered[:, a, i]) for i, level in enumerate(LEVELS)},
                    "width": {_key(level): _mean(width[:, a, i]) for i, level in enumerate(LEVELS)},
                }
                for a, yaw in enumerate(yaw_deg)
            },
        }
    return found


def summarise_endpoint(
    truth: Array, predicted: Array, samples: Array, residual_sd: float | None, seed: int = 0
) -> dict[str, Any]:
    """One number of every patient: truths (n,), of the predicted view (n,), of the samples (s, n).

    Returns:
        Bland and Altman's bias, SD and limits of agreement of the prediction (Lancet 327:307, 1986); CRPS, PIT and
        coverage beside width of the samples, and of a normal distribution of `residual_sd` about the prediction.
    """
    difference = predicted - truth
    sd = float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
    bias = float(difference.mean())
    forecasts = {"sampler": of_samples(samples[:, :, None, None], truth[:, None, None], _all(truth), seed)}
    if residual_sd is not None:
        spread = np.full_like(predicted, residual_sd)[:, None, None]
        forecasts["gaussian"] = of_normal(predicted[:, None, None], spread, truth[:, None, None], _all(truth))
    return {
        "truth_mean": float(truth.mean()),
        "truth_sd": float(truth.std(ddof=1)) if len(truth) > 1 else 0.0,
        "bias": bias,
        "bias_ci95": _interval(difference, seed),
        "sd": sd,
        "limits_of_agreement": [bias - 1.96 * sd, bias + 1.96 * sd],
        "pairs": [[float(t), float(p)] for t, p in zip(truth, predicted, strict=True)],
        "forecasts": {
            name: {
                "crps": float(one.crps.mean()),
                "covered": dict(zip(map(_key, LEVELS), one.covered[0].mean(axis=0).tolist(), strict=True)),
                "width": dict(zip(map(_key, LEVELS), one.width[0].mean(axis=0).tolist(), strict=True)),
                "pit": one.pit[0].mean(axis=0).tolist(),
            }
            for name, one in forecasts.items()
        },
    }


def _all(truth: Array) -> np.ndarray:
    return np.ones((1, len(truth), 1, 1), bool)


def _interval(values: Array, seed: int) -> list[float] | None:
    interval = metrics.mean_interval(values, seed=seed)
    return None if interval is None else list(interval)


def _mean(values: Array) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _key(level: float) -> str:
    return f"{100 * level:g}"
