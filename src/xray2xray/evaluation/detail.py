"""Sharpness over a cohort, of expected views and of samples apart: what `sharpness` says of each view, summed up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np

from ..projection.geometry import STANDARD_ARC, Geometry
from ..statistics.ensembles import crps
from . import sharpness
from .cases import BONE_YAW_DEG, Case
from .metrics import Array, mean_interval, psnr, unit
from .results import Estimate
from .scoring import Cohort

TRUTH = "truth"
SAMPLE = "+sample"
DETAIL_DEG = (5, 15, 60)  # from the input: where the horizontal detail is correlated with the truth

Draw = Callable[[Array, int], Array]
"""A given view p (h, w) and the number of its case -> samples p (n, angles, h, w)."""


@dataclass(frozen=True)
class Arrays:
    """Float arrays whose first axis is of cases and whose second is of angles."""

    def __getitem__(self, index: Any) -> Self:
        return type(self)(*(getattr(self, one.name)[index] for one in fields(self)))

    @classmethod
    def stacked(cls, parts: Sequence[Self]) -> Self:
        """Those of several batches of cases, one below the other."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


@dataclass(frozen=True)
class Detail(Arrays):
    """The sharpness of one predictor, see `sharpness`; `bone_auroc` is NaN where no bones were rendered."""

    power_db: Array  # (cases, angles, bands)
    power_db_no_window: Array
    frc: Array
    horizontal_frc: Array  # (cases, angles)
    gradient_similarity: Array
    bone_auroc: Array
    features: Array  # (cases, angles, features)


@dataclass(frozen=True)
class Draws(Arrays):
    """Samples beside the truth, (cases, angles): PSNR in dB of a single one, on average, and of the one of each case
    whose far views are nearest to the truth; CRPS in p, NaN of a single sample."""

    psnr: Array
    psnr_best: Array
    crps: Array


def detail(predicted: Array, truth: Array, cases: Sequence[Case], pixel_mm: float) -> Detail:
    """Unit views (cases, 37, h, w) of the standard arc, predicted and true; `pixel_mm` of the detector."""
    windowed, whole = (sharpness.spectra(predicted, truth, window) for window in (True, False))
    bones = np.full(truth.shape[:2], np.nan)
    at = [STANDARD_ARC.index(yaw) for yaw in BONE_YAW_DEG]
    for i, case in enumerate(cases):
        if case.bone_mm is not None:
            bones[i, at] = sharpness.bone_auroc(predicted[i, at], case.bone_mm, truth[i, at], pixel_mm)
    return Detail(
        sharpness.power_db(windowed),
        sharpness.power_db(whole),
        sharpness.ring_correlation(windowed),
        sharpness.horizontal_correlation(windowed),
        sharpness.gradient_similarity(predicted, truth),
        bones,
        sharpness.spectral_features(windowed.predicted),
    )


@dataclass
class Collector:
    """Gathers the detail of an evaluation, batch by batch.

    Attributes:
        geometry: of the views.
        draws: what draws samples, by the name of their row.
        rows: detail of every predictor and of the truth, one part a batch; `samples` that of each sample's row.
    """

    geometry: Geometry
    draws: Mapping[str, Draw] = field(default_factory=dict)
    rows: dict[str, list[Detail]] = field(default_factory=dict)
    samples: dict[str, list[Draws]] = field(default_factory=dict)
    drawn: int = 0

    def add(self, name: str, predicted: Array, truth: Array, cases: Sequence[Case]) -> None:
        """Unit views (cases, 37, h, w) of a batch, predicted and true."""
        self.rows.setdefault(name, []).append(detail(predicted, truth, cases, self.geometry.pixel_mm))

    def draw(self, truth: Array, cases: Sequence[Case], input_index: int, far: np.ndarray) -> None:
        """Draw samples of a batch, one case after the other, and add what they show."""
        for i, case in enumerate(cases):
            for name, draw in self.draws.items():
                samples_p = draw(case.views_p[input_index], self.drawn)
                samples, true = unit(samples_p), truth[i : i + 1]
                decibels = psnr(samples, true)
                best = decibels[:, far].mean(axis=1).argmax() if far.any() else decibels.mean(axis=1).argmax()
                missed = (
                    crps(samples_p, case.views_p).mean(axis=(1, 2))
                    if len(samples) > 1
                    else np.full(truth.shape[1], np.nan)
                )
                self.samples.setdefault(name, []).append(
                    Draws(decibels.mean(axis=0)[None], decibels[best][None], missed[None])
                )
                found = [detail(one[None], true, [case], self.geometry.pixel_mm) for one in samples]
                # of each sample, then their mean; but a test of two samples takes views, not mean features
                mean = {f.name: np.mean([getattr(d, f.name) for d in found], axis=0) for f in fields(Detail)}
                self.rows.setdefault(name, []).append(Detail(**{**mean, "features": found[0].features}))
            self.drawn += 1

    def take(self, other: "Collector") -> None:
        """Add the rows of another evaluation, whose cases follow ours."""
        for name, rows in other.rows.items():
            self.rows.setdefault(name, []).extend(rows)
        for name, samples in other.samples.items():
            self.samples.setdefault(name, []).extend(samples)


# ---------------------------------------------------------------- results


@dataclass(frozen=True)
class Measure:
    """One number of the views: far, at least 30 degrees from the input; near, nearer; and at every angle. None where
    no such view has it."""

    far: Estimate | None
    near: Estimate | None
    per_angle: dict[str, float]


@dataclass(frozen=True)
class Sharpness:
    """One predictor on a cohort. By band of `sharpness.BANDS`: `power_db` of prediction over truth and `frc` behind a
    Hann window, `power_db_no_window` without; `horizontal_frc_at` 5, 15 and 60 degrees from the input;
    `two_sample_auroc` of far views, None for too few patients."""

    power_db: dict[str, Measure]
    power_db_no_window: dict[str, Measure]
    frc: dict[str, Measure]
    horizontal_frc: Measure
    horizontal_frc_at: dict[str, Estimate]
    gradient_similarity: Measure
    bone_auroc: Measure | None = None
    two_sample_auroc: Estimate | None = None


@dataclass(frozen=True)
class Samples:
    """Samples of one form, as `Draws` has them: a single one, and the best of `samples`, are different claims."""

    samples: int
    psnr: Measure
    psnr_best: Measure
    crps: Measure | None
    sharpness: Sharpness


@dataclass(frozen=True)
class SharpnessGroup:
    """The cases of one evidence level. `truth_bone_auroc`: of the true views, which no prediction can be expected to
    exceed."""

    n: int
    models: dict[str, Sharpness]
    baselines: dict[str, Sharpness]
    samples: dict[str, Samples] | None = None
    truth_bone_auroc: Measure | None = None


def summarise_detail(
    cohort: Cohort, collected: Collector, samples: int = 0, seed: int = 0
) -> dict[str, SharpnessGroup]:
    """By evidence level, virtual patients first; `samples` were drawn of each case, `seed` of bootstrap and folds."""
    rows = {name: Detail.stacked(parts) for name, parts in collected.rows.items()}
    draws = {name: Draws.stacked(parts) for name, parts in collected.samples.items()}
    return {level: _group(cohort, level, rows, draws, samples, seed) for level in cohort.levels}


def _group(
    cohort: Cohort, level: str, rows: dict[str, Detail], draws: dict[str, Draws], samples: int, seed: int
) -> SharpnessGroup:
    of_level = [i for i, found in enumerate(cohort.evidence_levels) if found == level]
    truth = rows[TRUTH][of_level]

    def measure(values: Array) -> Measure:
        return _measure(cohort, values, seed)

    def summed(name: str) -> Sharpness:
        return _sharpness(cohort, rows[name][of_level], truth, seed)

    def drawn(name: str) -> Samples:
        found = draws[name][of_level]
        scored = measure(found.crps) if np.isfinite(found.crps).all() else None
        return Samples(samples, measure(found.psnr), measure(found.psnr_best), scored, summed(name))

    bones = measure(truth.bone_auroc)
    return SharpnessGroup(
        len(of_level),
        {name: summed(name) for name in cohort.models},
        {name: summed(name) for name in cohort.baselines},
        {name: drawn(name) for name in draws} or None,
        bones if bones.per_angle else None,
    )


def _sharpness(cohort: Cohort, found: Detail, truth: Detail, seed: int) -> Sharpness:
    def measure(values: Array) -> Measure:
        return _measure(cohort, values, seed)

    def by_band(values: Array) -> dict[str, Measure]:
        return {name: measure(values[..., band]) for band, name in enumerate(sharpness.BANDS)}

    away = np.abs(np.array(cohort.yaw_deg) - cohort.input_yaw_deg)
    at = {f"{deg}": _estimate(found.horizontal_frc[:, away == deg], seed) for deg in DETAIL_DEG}
    far, bones = cohort.beyond & cohort.scored, measure(found.bone_auroc)
    return Sharpness(
        by_band(found.power_db),
        by_band(found.power_db_no_window),
        by_band(found.frc),
        measure(found.horizontal_frc),
        {deg: one for deg, one in at.items() if one is not None},
        measure(found.gradient_similarity),
        bones if bones.per_angle else None,
        sharpness.two_sample(truth.features[:, far], found.features[:, far], seed) if far.any() else None,
    )


def _measure(cohort: Cohort, values: Array, seed: int) -> Measure:
    """Of (cases, angles)."""
    means = [float(np.nanmean(column)) if np.isfinite(column).any() else None for column in values.T]
    return Measure(
        _estimate(values[:, cohort.beyond & cohort.scored], seed),
        _estimate(values[:, ~cohort.beyond & cohort.scored], seed),
        {yaw: value for yaw, value in cohort.by_angle(means, lambda mean: mean).items() if value is not None},
    )


def _estimate(values: Array, seed: int) -> Estimate | None:
    """Mean over the angles of each case, then over cases, of (cases, angles); what is not known is left out."""
    known = np.isfinite(values)
    of_case = known.any(axis=1)
    if not of_case.any():
        return None
    patients = np.nanmean(values[of_case], axis=1)
    return Estimate(float(patients.mean()), mean_interval(patients, seed=seed))
