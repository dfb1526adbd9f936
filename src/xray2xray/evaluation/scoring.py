"""From predicted and true views to the numbers in views.json."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .metrics import BEYOND_DEG, Array
from .results import Estimate, Interval, contrasts

CEILINGS = {"v_ceiling": False, "v_ceiling_quantised": True}
"""What V makes of the true views, and whether through its codebook."""


@dataclass(frozen=True)
class Scores:
    """One predictor on a cohort: float64 arrays (cases, angles). PSNR is per image, in dB.

    `body_mse` is over the rays that meet the body; None where no body was rendered.
    """

    mse: Array
    ssim: Array
    body_mse: Array | None = None

    @classmethod
    def joined(cls, parts: Sequence["Scores"], axis: int = 0) -> "Scores":
        """Side by side; without `body_mse` if one has none."""
        bodies = [part.body_mse for part in parts if part.body_mse is not None]
        return cls(
            np.concatenate([part.mse for part in parts], axis),
            np.concatenate([part.ssim for part in parts], axis),
            np.concatenate(bodies, axis) if len(bodies) == len(parts) else None,
        )

    @property
    def psnr(self) -> Array:
        return metrics.psnr_from_mse(self.mse)

    @property
    def body_psnr(self) -> Array | None:
        return None if self.body_mse is None else metrics.psnr_from_mse(self.body_mse)

    def __getitem__(self, index: Any) -> "Scores":
        return Scores(self.mse[index], self.ssim[index], None if self.body_mse is None else self.body_mse[index])


def score(predicted: Array, truth: Array, body: NDArray[np.bool_] | None = None) -> Scores:
    """Unit views (cases, angles, h, w), predicted and true -> their scores; `body`: the pixels of the true body."""
    inside = None if body is None else metrics.mse(predicted, truth, body)
    return Scores(metrics.mse(predicted, truth), metrics.ssim(predicted, truth), inside)


@dataclass(frozen=True)
class Cohort:
    """All scores of one evaluation. `baselines` holds `mean_view`, the zero of R2, but not `best`, which is derived.

    `scans`, where known: `cases.WHOLE` or `CUT` of each case.
    """

    yaw_deg: tuple[float, ...]
    input_yaw_deg: float
    names: list[str]
    evidence_levels: list[str]
    models: dict[str, Scores]
    baselines: dict[str, Scores]
    scans: list[str] = field(default_factory=list)

    def only(self, evidence_level: str, scan: str | None = None) -> "Cohort":
        """The cases of one evidence level, of one kind of scan where that is named."""
        of_level = (i for i, found in enumerate(self.evidence_levels) if found == evidence_level)
        rows = [i for i in of_level if scan is None or self.scans[i] == scan]
        return Cohort(
            self.yaw_deg,
            self.input_yaw_deg,
            [self.names[i] for i in rows],
            [evidence_level] * len(rows),
            {name: scores[rows] for name, scores in self.models.items()},
            {name: scores[rows] for name, scores in self.baselines.items()},
            [self.scans[i] for i in rows] if self.scans else [],
        )

    @property
    def levels(self) -> list[str]:
        """The evidence levels of the cases, each once, virtual patients first."""
        return sorted(set(self.evidence_levels), reverse=True)

    @property
    def scored(self) -> np.ndarray:
        """bool (angles,): all but the input angle."""
        return np.array([yaw != self.input_yaw_deg for yaw in self.yaw_deg])

    @property
    def beyond(self) -> np.ndarray:
        """bool (angles,): at least 30 degrees from the input, where claims are made."""
        return np.array([abs(yaw - self.input_yaw_deg) >= BEYOND_DEG for yaw in self.yaw_deg])

    def by_angle(self, values: Sequence[Any] | Array, of: Callable[[Any], Any] = float) -> dict[str, Any]:
        """`of` each of the values (angles, ...) that is scored, by its angle."""
        pairs = zip(self.yaw_deg, values, self.scored, strict=True)
        return {f"{yaw:g}": of(value) for yaw, value, used in pairs if used}


def joined(parts: Sequence[Cohort]) -> Cohort:
    """The cases of several evaluations with the same predictors as one cohort, as of folds of a cross-validation."""
    first = parts[0]
    return Cohort(
        first.yaw_deg,
        first.input_yaw_deg,
        [name for part in parts for name in part.names],
        [level for part in parts for level in part.evidence_levels],
        {name: Scores.joined([part.models[name] for part in parts]) for name in first.models},
        {name: Scores.joined([part.baselines[name] for part in parts]) for name in first.baselines},
        [scan for part in parts for scan in part.scans],
    )


@dataclass(frozen=True)
class Metric:
    """`mean` is the mean of `per_angle`, `sd` is over cases; `mean_beyond_30` is None where no angle is that far."""

    mean: float
    sd: float
    mean_beyond_30: float | None
    per_angle: dict[str, float]


@dataclass(frozen=True)
class Skill(Metric):
    """R2 over the mean view, with intervals over patients."""

    ci95: Interval | None
    ci95_beyond_30: Interval | None


@dataclass(frozen=True)
class Block:
    """One predictor on a cohort. `psnr_body`: over the rays that meet the true body."""

    psnr: Metric
    ssim: Metric
    r2: Skill
    psnr_body: Metric | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Contrast(Estimate):
    """The primary contrast of an evaluation, in dB, and the same at every angle."""

    name: str
    per_angle: dict[str, Estimate]


@dataclass(frozen=True)
class Summary:
    """A cohort. `over_best`: every model minus `best` in dB beyond 30 degrees, paired within each patient; `contrast`
    is the primary one, that of the first model. Both are absent where no angle is that far, or there is no model."""

    n: int
    models: dict[str, Block]
    baselines: dict[str, Block]
    best_choice: dict[str, str]
    over_best: dict[str, Estimate] | None = None
    contrast: Contrast | None = None


@dataclass(frozen=True)
class CaseRow:
    """One case: the mean of every metric (`psnr`, `psnr_beyond_30`, ...) for every predictor."""

    case: str
    evidence_level: str
    models: dict[str, dict[str, float | None]]
    baselines: dict[str, dict[str, float | None]]
    scan: str | None = None


def summarise(cohort: Cohort, seed: int = 0) -> Summary:
    """The numbers of a cohort; `seed` of the bootstrap."""
    choice = best_at_each_angle({name: scores.psnr for name, scores in cohort.baselines.items()})
    best = scores_of_best(cohort.baselines, choice)
    null = cohort.baselines["mean_view"]

    def blocks(of: Mapping[str, Scores]) -> dict[str, Block]:
        return {name: block(cohort, scores, null, seed) for name, scores in of.items()}

    predicted = {name: scores for name, scores in cohort.models.items() if name not in CEILINGS}
    over_best, contrast = None, None
    if cohort.beyond.any():
        first = next(iter(predicted), None)
        over_best = contrasts({name: gain(cohort, scores, best) for name, scores in predicted.items()}, seed, first)
        if first is not None:
            scores = predicted[first]
            contrast = Contrast(
                over_best[first].mean,
                over_best[first].ci95,
                f"{first} minus best, PSNR in dB at least {BEYOND_DEG:g} degrees from the input",
                cohort.by_angle((scores.psnr - best.psnr).T, lambda gained: Estimate.of(gained, seed)),
                p=over_best[first].p,
            )
    return Summary(
        len(cohort.names),
        blocks(cohort.models),
        blocks({**cohort.baselines, "best": best}),
        cohort.by_angle(choice, str),
        over_best,
        contrast,
    )


def best_at_each_angle(psnr: Mapping[str, Array]) -> list[str]:
    """Which baseline has the highest mean PSNR over the cases at each angle, from PSNRs (cases, angles) by name.

    The choice is made on the very cases that are scored, which favours the baselines: the bar is high on purpose.
    """
    names = list(psnr)
    means = np.stack([psnr[name].mean(axis=0) for name in names])
    return [names[i] for i in means.argmax(axis=0)]


def gain(cohort: Cohort, scores: Scores, reference: Scores) -> Array:
    """`scores` minus `reference`: PSNR in dB beyond 30 degrees, paired within each patient, (n,)."""
    return (scores.psnr - reference.psnr)[:, cohort.beyond].mean(axis=1)


def case_rows(cohort: Cohort) -> list[CaseRow]:
    """One row for each case."""
    null = cohort.baselines["mean_view"]

    def means(of: Mapping[str, Scores], one: slice) -> dict[str, dict[str, float | None]]:
        return {name: _means(cohort, scores[one], null[one]) for name, scores in of.items()}

    return [
        CaseRow(
            name,
            level,
            means(cohort.models, slice(i, i + 1)),
            means(cohort.baselines, slice(i, i + 1)),
            cohort.scans[i] if cohort.scans else None,
        )
        for i, (name, level) in enumerate(zip(cohort.names, cohort.evidence_levels, strict=True))
    ]


def block(cohort: Cohort, scores: Scores, null: Scores, seed: int) -> Block:
    """The metrics of one predictor; `null` are the scores of the mean view, the zero of R2."""
    per_case_r2 = 1 - scores.mse / np.maximum(null.mse, 1e-12)
    skill = _metric(cohort, per_case_r2, metrics.r2(scores.mse, null.mse))
    inside = scores.body_psnr
    everywhere, far = (_r2_interval(scores, null, at, seed) for at in (cohort.scored, cohort.beyond & cohort.scored))
    return Block(
        _metric(cohort, scores.psnr, scores.psnr.mean(axis=0)),
        _metric(cohort, scores.ssim, scores.ssim.mean(axis=0)),
        Skill(**vars(skill), ci95=everywhere, ci95_beyond_30=far),
        psnr_body=None if inside is None else _metric(cohort, inside, inside.mean(axis=0)),
    )


def scores_of_best(baselines: Mapping[str, Scores], choice: Sequence[str]) -> Scores:
    """Those of the baseline that `best_at_each_angle` names at each angle."""
    columns = [baselines[name][:, a : a + 1] for a, name in enumerate(choice)]
    return Scores.joined(columns, axis=1)


def _metric(cohort: Cohort, values: Array, per_angle: Array) -> Metric:
    """`values` (cases, angles) give the SD over cases; `per_angle` (angles,) is already pooled over them."""
    case_means = values[:, cohort.scored].mean(axis=1)
    return Metric(
        float(per_angle[cohort.scored].mean()),
        float(case_means.std(ddof=1)) if len(case_means) > 1 else 0.0,
        _far_mean(cohort, per_angle),
        cohort.by_angle(per_angle),
    )


def _means(cohort: Cohort, scores: Scores, null: Scores) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    r2 = metrics.r2(scores.mse, null.mse)
    measured = {"psnr": scores.psnr[0], "ssim": scores.ssim[0], "r2": r2}
    if scores.body_psnr is not None:
        measured["psnr_body"] = scores.body_psnr[0]
    for name, values in measured.items():
        row[name] = float(values[cohort.scored].mean())
        row[f"{name}_beyond_30"] = _far_mean(cohort, values)
    return row


def _far_mean(cohort: Cohort, per_angle: Array) -> float | None:
    beyond = cohort.beyond & cohort.scored
    return float(per_angle[beyond].mean()) if beyond.any() else None


def _r2_interval(scores: Scores, null: Scores, angles: np.ndarray, seed: int) -> Interval | None:
    return metrics.r2_interval(scores.mse[:, angles], null.mse[:, angles], seed=seed) if angles.any() else None
