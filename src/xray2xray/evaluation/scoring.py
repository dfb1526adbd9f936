"""From predicted and true views to the numbers in views.json: arrays in, plain dictionaries out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import metrics
from .baselines import best_at_each_angle
from .metrics import BEYOND_DEG, Array


@dataclass(frozen=True)
class Scores:
    """One predictor on a cohort: float64 arrays (cases, angles). PSNR is per image, in dB."""

    mse: Array
    ssim: Array

    @property
    def psnr(self) -> Array:
        return metrics.psnr_from_mse(self.mse)

    def __getitem__(self, cases: Any) -> "Scores":
        return Scores(self.mse[cases], self.ssim[cases])


def score(predicted: Array, truth: Array) -> Scores:
    """Unit views (cases, angles, h, w), predicted and true -> their scores."""
    return Scores(metrics.mse(predicted, truth), metrics.ssim(predicted, truth))


def stack(parts: Sequence[Scores]) -> Scores:
    """Scores of several batches of cases, one below the other."""
    return Scores(np.concatenate([p.mse for p in parts]), np.concatenate([p.ssim for p in parts]))


@dataclass(frozen=True)
class Cohort:
    """All scores of one evaluation. `baselines` holds `mean_view`, the zero of R2, but not `best`, which is derived."""

    yaw_deg: tuple[float, ...]
    input_yaw_deg: float
    names: list[str]
    rungs: list[str]
    models: dict[str, Scores]
    baselines: dict[str, Scores]

    def only(self, rung: str) -> "Cohort":
        """The cases on one rung of the evidence ladder."""
        rows = [i for i, found in enumerate(self.rungs) if found == rung]
        return Cohort(
            self.yaw_deg,
            self.input_yaw_deg,
            [self.names[i] for i in rows],
            [rung] * len(rows),
            {name: scores[rows] for name, scores in self.models.items()},
            {name: scores[rows] for name, scores in self.baselines.items()},
        )

    @property
    def scored(self) -> np.ndarray:
        """bool (angles,): all but the input angle."""
        return np.array([yaw != self.input_yaw_deg for yaw in self.yaw_deg])

    @property
    def beyond(self) -> np.ndarray:
        """bool (angles,): at least 30 degrees from the input, where claims are made."""
        return np.array([abs(yaw - self.input_yaw_deg) >= BEYOND_DEG for yaw in self.yaw_deg])


def summarise(cohort: Cohort, seed: int = 0) -> dict[str, Any]:
    """{"n", "models", "baselines", "best_choice", "over_best", "contrast"} of a cohort, ready for strict JSON.

    Every metric's `mean` is the mean of its `per_angle`; `sd` is over cases; intervals are over patients.
    `over_best`: every model minus `best` in dB beyond 30 degrees, paired within each patient; `contrast` is the primary
    one, that of `direct`.
    """
    choice = best_at_each_angle({name: scores.psnr for name, scores in cohort.baselines.items()})
    baselines = {**cohort.baselines, "best": _best(cohort.baselines, choice)}
    null = cohort.baselines["mean_view"]
    result: dict[str, Any] = {
        "n": len(cohort.names),
        "models": {name: block(cohort, scores, null, seed) for name, scores in cohort.models.items()},
        "baselines": {name: block(cohort, scores, null, seed) for name, scores in baselines.items()},
        "best_choice": {
            _key(yaw): c for yaw, c, used in zip(cohort.yaw_deg, choice, cohort.scored, strict=True) if used
        },
    }
    if cohort.beyond.any():
        imagined = {name: scores for name, scores in cohort.models.items() if not name.startswith("v_ceiling")}
        result["over_best"] = {name: gain(cohort, of, baselines["best"], seed) for name, of in imagined.items()}
    if "direct" in cohort.models and cohort.beyond.any():
        result["contrast"] = {
            "name": f"direct minus best, PSNR in dB at least {BEYOND_DEG:g} degrees from the input",
            **gain(cohort, cohort.models["direct"], baselines["best"], seed),
            "per_angle": gain_per_angle(cohort, cohort.models["direct"], baselines["best"], seed),
        }
    return result


def gain(cohort: Cohort, scores: Scores, reference: Scores, seed: int) -> dict[str, Any]:
    """{"mean", "ci95"} of `scores` minus `reference`: PSNR in dB beyond 30 degrees, paired within each patient."""
    gained = (scores.psnr - reference.psnr)[:, cohort.beyond].mean(axis=1)
    return _mean_of(gained, seed)


def gain_per_angle(cohort: Cohort, scores: Scores, reference: Scores, seed: int) -> dict[str, Any]:
    """Angle -> {"mean", "ci95"} of `scores` minus `reference`, PSNR in dB, at every angle that is scored."""
    gained = scores.psnr - reference.psnr
    return {
        _key(yaw): _mean_of(column, seed)
        for yaw, column, used in zip(cohort.yaw_deg, gained.T, cohort.scored, strict=True)
        if used
    }


def _mean_of(values: Array, seed: int) -> dict[str, Any]:
    """{"mean", "ci95"} of one value for each patient."""
    return {"mean": float(values.mean()), "ci95": _listed(metrics.mean_interval(values, seed=seed))}


def case_rows(cohort: Cohort) -> list[dict[str, Any]]:
    """One row for each case: its name, its rung, and the mean of every metric for every predictor."""
    null = cohort.baselines["mean_view"]
    rows = []
    for i, (name, rung) in enumerate(zip(cohort.names, cohort.rungs, strict=True)):
        one = slice(i, i + 1)
        groups = {"models": cohort.models, "baselines": cohort.baselines}
        scores = {
            group: {key: _means(cohort, value[one], null[one]) for key, value in members.items()}
            for group, members in groups.items()
        }
        rows.append({"case": name, "rung": rung, **scores})
    return rows


def _best(baselines: dict[str, Scores], choice: list[str]) -> Scores:
    picked = [baselines[name] for name in choice]
    columns = range(len(choice))
    return Scores(
        np.stack([s.mse[:, a] for s, a in zip(picked, columns, strict=True)], axis=1),
        np.stack([s.ssim[:, a] for s, a in zip(picked, columns, strict=True)], axis=1),
    )


def block(cohort: Cohort, scores: Scores, null: Scores, seed: int) -> dict[str, Any]:
    """{"psnr", "ssim", "r2"} of one predictor; `null` are the scores of the mean view, the zero of R2."""
    per_case_r2 = 1 - scores.mse / np.maximum(null.mse, 1e-12)
    beyond = cohort.beyond & cohort.scored
    r2 = _metric(cohort, per_case_r2, metrics.r2(scores.mse, null.mse))
    r2["ci95"] = _r2_interval(scores, null, cohort.scored, seed)
    r2["ci95_beyond_30"] = _r2_interval(scores, null, beyond, seed)
    return {
        "psnr": _metric(cohort, scores.psnr, scores.psnr.mean(axis=0)),
        "ssim": _metric(cohort, scores.ssim, scores.ssim.mean(axis=0)),
        "r2": r2,
    }


def _metric(cohort: Cohort, values: Array, per_angle: Array) -> dict[str, Any]:
    """`values` (cases, angles) give the SD over cases; `per_angle` (angles,) is already pooled over them."""
    scored, beyond = cohort.scored, cohort.beyond & cohort.scored
    case_means = values[:, scored].mean(axis=1)
    return {
        "mean": float(per_angle[scored].mean()),
        "sd": float(case_means.std(ddof=1)) if len(case_means) > 1 else 0.0,
        "mean_beyond_30": float(per_angle[beyond].mean()) if beyond.any() else None,
        "per_angle": {_key(y): float(v) for y, v, used in zip(cohort.yaw_deg, per_angle, scored, strict=True) if used},
    }


def _means(cohort: Cohort, scores: Scores, null: Scores) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for name, values in (
        ("psnr", scores.psnr[0]),
        ("ssim", scores.ssim[0]),
        ("r2", metrics.r2(scores.mse, null.mse)),
    ):
        beyond = cohort.beyond & cohort.scored
        row[name] = float(values[cohort.scored].mean())
        row[f"{name}_beyond_30"] = float(values[beyond].mean()) if beyond.any() else None
    return row


def _r2_interval(scores: Scores, null: Scores, angles: np.ndarray, seed: int) -> list[float] | None:
    if not angles.any():
        return None
    return _listed(metrics.r2_interval(scores.mse[:, angles], null.mse[:, angles], seed=seed))


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _key(yaw_deg: float) -> str:
    return f"{yaw_deg:g}"
