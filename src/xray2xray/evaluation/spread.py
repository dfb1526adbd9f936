"""Sharpness and calibration of a predicted distribution: of the pixels of one case, then over cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from scipy.special import ndtr, ndtri

from ..statistics.ensembles import central_interval, crps, crps_normal, pit
from ..statistics.intervals import SHARE, mean_interval
from .metrics import Array
from .results import Interval

LEVELS = (0.5, 0.8, 0.95)
BINS = 10

R = TypeVar("R")


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


@dataclass(frozen=True)
class AtAngle:
    """One region at one angle; None where no patient has that region there."""

    crps: float | None
    covered: dict[str, float | None]
    width: dict[str, float | None]


@dataclass(frozen=True)
class RegionScores:
    """One region over `n` patients: every patient counts alike, every angle of a patient alike. Keys: levels in %."""

    n: int
    crps: float
    crps_ci95: Interval | None
    error: float
    covered: dict[str, float]
    covered_ci95: dict[str, Interval | None]
    width: dict[str, float]
    pit: list[float]
    per_angle: dict[str, AtAngle]


@dataclass(frozen=True)
class Forecast:
    """CRPS, PIT and coverage beside width of the forecasts of one number."""

    crps: float
    covered: dict[str, float]
    width: dict[str, float]
    pit: list[float]


@dataclass(frozen=True)
class Agreement:
    """Predicted and true values of one number: bias, SD and limits of agreement (Bland and Altman, Lancet 327:307,
    1986), and the scores of its forecasts."""

    truth_mean: float
    truth_sd: float
    bias: float
    bias_ci95: Interval | None
    sd: float
    limits_of_agreement: Interval
    pairs: list[Interval]
    forecasts: dict[str, Forecast]


def summarise_marginals(
    cases: Sequence[Marginals], regions: Sequence[str], yaw_deg: Sequence[float], seed: int = 0
) -> dict[str, RegionScores]:
    """By region, those that a patient has; intervals over patients."""
    found: dict[str, RegionScores] = {}
    for r, name in enumerate(regions):
        stacked = [np.stack([getattr(case, one.name)[r] for case in cases]) for one in fields(Marginals)]
        known = np.isfinite(stacked[0]).any(axis=1)  # patients with such a region
        if not known.any():
            continue
        score, error, covered, width, histogram = (values[known] for values in stacked)
        patients = np.nanmean(covered, axis=1)  # (patients, levels)
        found[name] = RegionScores(
            n=int(known.sum()),
            crps=float(np.nanmean(score)),
            crps_ci95=mean_interval(np.nanmean(score, axis=1), seed=seed),
            error=float(np.nanmean(error)),
            covered=_by_level(patients.mean(axis=0), float),
            covered_ci95=_by_level(patients.T, lambda column: mean_interval(column, seed=seed, within=SHARE)),
            width=_by_level(np.nanmean(width, axis=(0, 1)), float),
            pit=np.nanmean(histogram, axis=(0, 1)).tolist(),
            per_angle={
                f"{yaw:g}": AtAngle(
                    _mean(score[:, a]), _by_level(covered[:, a].T, _mean), _by_level(width[:, a].T, _mean)
                )
                for a, yaw in enumerate(yaw_deg)
            },
        )
    return found


def summarise_endpoint(
    truth: Array, predicted: Array, samples: Array, residual_sd: float | None, seed: int = 0
) -> Agreement:
    """One number of every patient: truths (n,), of the predicted view (n,), of the samples (s, n).

    The forecasts are the samples and, with `residual_sd`, a normal distribution of that SD about the prediction.
    """
    difference = predicted - truth
    sd, bias = _sd(difference), float(difference.mean())
    marginals = {"sampler": of_samples(samples[:, :, None, None], truth[:, None, None], _all(truth), seed)}
    if residual_sd is not None:
        spread = np.full_like(predicted, residual_sd)[:, None, None]
        marginals["gaussian"] = of_normal(predicted[:, None, None], spread, truth[:, None, None], _all(truth))
    return Agreement(
        truth_mean=float(truth.mean()),
        truth_sd=_sd(truth),
        bias=bias,
        bias_ci95=mean_interval(difference, seed=seed),
        sd=sd,
        limits_of_agreement=(bias - 1.96 * sd, bias + 1.96 * sd),
        pairs=[(float(t), float(p)) for t, p in zip(truth, predicted, strict=True)],
        forecasts={
            name: Forecast(
                float(one.crps.mean()),
                _by_level(one.covered[0].mean(axis=0), float),
                _by_level(one.width[0].mean(axis=0), float),
                one.pit[0].mean(axis=0).tolist(),
            )
            for name, one in marginals.items()
        },
    )


def _all(truth: Array) -> np.ndarray:
    return np.ones((1, len(truth), 1, 1), bool)


def _by_level(values: Array, of: Callable[[Array], R]) -> dict[str, R]:
    """`of` each of the values (levels, ...), by its level in %."""
    return {f"{100 * level:g}": of(value) for level, value in zip(LEVELS, values, strict=True)}


def _mean(values: Array) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _sd(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
