"""From scores to the rows of downstream.json: values, intervals, differences from ours."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning

from ...core.errors import InputError, UsageError
from ...probing.endpoints import Endpoints
from ...statistics.calibration import calibration
from ...statistics.compare_auroc import delong_over_seeds
from ...statistics.concordance import harrell_c_of_draws, uno_c
from ...statistics.contrasts import holm
from ...statistics.dynamic_auroc import auroc_at
from ...statistics.intervals import SHARE, Resamples
from ...statistics.scores import auprc
from .cohort import TIME_TASK

KEYS = (
    "task", "method", "n_labels", "metric", "value", "ci_low", "ci_high",
    "delta_vs_ours", "delta_ci_low", "delta_ci_high", "p", "primary", "ranked",
)  # fmt: skip
HORIZON_YEARS = 5.0
BOOTSTRAPPED = ("harrell_c", "auprc", "brier")

Array = NDArray[np.floating]
Known = Mapping[tuple[str, int, int], Mapping[str, Array]]
"""(method, labels, seed) -> task -> scores (n_test,)."""


@dataclass(frozen=True)
class Primary:
    """The one contrast that is named before a run: ours against a method, on a task, at a number of labels."""

    task: str
    method: str
    n_labels: int

    @classmethod
    def parse(
        cls, text: str, tasks: Sequence[str], methods: Sequence[str], labels: Sequence[int], ours: str
    ) -> "Primary":
        """From TASK/METHOD/LABELS.

        Raises:
            UsageError: it is not of this form, or not among what the run compares.
        """
        task, _, rest = text.partition("/")
        method, _, n = rest.rpartition("/")
        if task not in tasks or method not in methods or method == ours or n not in map(str, labels):
            raise UsageError(
                f"--primary {text}: say TASK/METHOD/LABELS, such as {tasks[-1]}/{methods[0]}/{labels[-1]}, with a "
                f"task, a method other than {ours} and a number of labels of this run"
            )
        return cls(task, method, int(n))


def main_metric(task: str) -> str:
    """What claims about a task are made of."""
    return "harrell_c" if task == TIME_TASK else "auroc"


def table_rows(
    known: Known,
    test: Endpoints,
    ours: str,
    primary: Primary | None,
    unranked: Collection[tuple[str, int]] = (),
    draws: int = 1000,
) -> list[dict[str, Any]]:
    """All rows, each with `KEYS`; what is not asked or not known is None.

    Args:
        known: every method has the same seeds as ours, or fewer: differences are over those that both have.
        test: the truth of the test patients, one row a patient.
        unranked: (method, labels) that are listed only: nothing is tested against a training without its plateau.

    Raises:
        InputError: a task cannot be scored.
    """
    tasks = [*test.names, *([TIME_TASK] if test.time is not None else [])]
    methods = list(dict.fromkeys((method, n) for method, n, _ in known))
    rows: list[dict[str, Any]] = []
    for task in tasks:
        scorer = _Scorer.of(task, test, draws)
        for n in sorted({n for _, n in methods}):
            mine = _by_seed(known, ours, n, task)
            for method in [m for m, count in methods if count == n]:
                theirs = _by_seed(known, method, n, task)
                named, ranked = primary == Primary(task, method, n), (method, n) not in unranked
                for metric, found in scorer.score(theirs, {} if method == ours else mine).items():
                    if not ranked or (ours, n) in unranked:
                        found = replace(found, p=None)
                    rows.append(_row(task, method, n, metric, found, named and metric == main_metric(task), ranked))
    secondary = [row for row in rows if row["p"] is not None and not row["primary"]]
    for row, adjusted in zip(secondary, holm([row["p"] for row in secondary]) if secondary else []):
        row["p"] = float(adjusted)
    return rows


@dataclass(frozen=True)
class Found:
    """A mean over seeds, its interval; the method's minus ours, with interval and p."""

    value: float
    ci95: tuple[float, float] | None = None
    delta: float | None = None
    delta_ci95: tuple[float, float] | None = None
    p: float | None = None


@dataclass(frozen=True, eq=False)
class _Scorer:
    """The m test patients of a task whose label is known, and their resamples."""

    task: str
    columns: tuple[Array, ...]  # labels; or times and events
    rows: NDArray[np.intp]
    some: Resamples
    memo: dict[tuple[str, int], Array] = field(default_factory=dict)

    @classmethod
    def of(cls, task: str, test: Endpoints, draws: int) -> "_Scorer":
        if task == TIME_TASK:
            followed = [column for column in (test.time, test.event) if column is not None]
            rows = np.flatnonzero(~np.isnan(followed[0]))
            columns = tuple(column[rows] for column in followed)
        else:
            label = test.findings[:, test.names.index(task)]
            rows = np.flatnonzero(~np.isnan(label))
            columns = (label[rows],)
        return cls(task, columns, rows, Resamples.of(len(rows), draws))

    def score(self, theirs: Mapping[int, Array], mine: Mapping[int, Array]) -> dict[str, Found]:
        """Metric -> what is found of a method's scores by seed, beside ours of the same seeds."""
        seeds = [seed for seed in theirs if seed in mine]
        everyone = np.stack([scores[self.rows] for scores in theirs.values()])
        paired = [np.stack([side[seed][self.rows] for seed in seeds]) for side in (theirs, mine)] if seeds else None
        found = {} if self.task == TIME_TASK else {"auroc": self._auroc(everyone, paired)}
        for metric in BOOTSTRAPPED:
            if (metric == "harrell_c") == (self.task == TIME_TASK):
                found[metric] = self._bootstrapped(metric, theirs, mine, seeds)
        return found | {metric: Found(value) for metric, value in self._points(everyone).items()}

    def _auroc(self, everyone: Array, paired: list[Array] | None) -> Found:
        (y,) = self.columns
        alone = delong_over_seeds(y, everyone, np.zeros_like(everyone))  # a constant: 0.5, without variance
        assert alone.ci95 is not None
        bounds = (max(0.0, 0.5 + alone.ci95[0]), min(1.0, 0.5 + alone.ci95[1]))
        if paired is None:
            return Found(alone.first, bounds)
        contrast = delong_over_seeds(y, *paired)
        return Found(alone.first, bounds, contrast.difference, contrast.ci95, contrast.p_value)

    def _bootstrapped(
        self, metric: str, theirs: Mapping[int, Array], mine: Mapping[int, Array], seeds: Sequence[int]
    ) -> Found:
        drawn = np.stack([self._drawn(metric, scores) for scores in theirs.values()])
        value, bounds = float(drawn[:, 0].mean()), self.some.interval(drawn, SHARE)
        if not seeds:
            return Found(value, bounds)
        apart = np.stack([self._drawn(metric, theirs[s]) - self._drawn(metric, mine[s]) for s in seeds])
        p = self.some.p_value(apart) if metric == main_metric(self.task) else None
        return Found(value, bounds, float(apart[:, 0].mean()), self.some.interval(apart), p)

    def _drawn(self, metric: str, scores: Array) -> Array:
        """A metric of scores (n_test,): float64 (1 + draws,), first of everyone, then of each resample."""
        known = (metric, id(scores))  # ours is asked for again by every method; all scores outlive this
        if known not in self.memo:
            self.memo[known] = self._of_draws(metric, scores[self.rows])
        return self.memo[known]

    def _of_draws(self, metric: str, scores: Array) -> Array:
        if metric == "harrell_c":
            time, event = self.columns
            return harrell_c_of_draws(time, event, scores, self.some.counts)
        (y,) = self.columns
        counts = self.some.counts
        return auprc(y, scores, counts) if metric == "auprc" else counts @ (scores - y) ** 2 / counts.sum(axis=1)

    def _points(self, everyone: Array) -> dict[str, float]:
        """Means over seeds that have no interval here; one that does not exist for a seed is left out."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LinAlgWarning)  # of predictions that nearly separate the classes
            each = [self._point(scores) for scores in everyone]
        return {name: float(np.mean([e[name] for e in each])) for name in each[0] if all(name in e for e in each)}

    def _point(self, scores: Array) -> dict[str, float]:
        try:
            if self.task == TIME_TASK:
                time, event = self.columns
                dynamic = float(auroc_at(time, event, scores, [HORIZON_YEARS])[0])
                return {"uno_c": uno_c(time, event, scores), "auroc_5y": dynamic}
            found = calibration(self.columns[0], scores)
        except InputError:  # nobody is followed so long, or the predictions separate the classes
            return {}
        return {"calibration_slope": found.slope, "ici": found.ici, "expected_observed": found.expected_observed}


def _by_seed(known: Known, method: str, n: int, task: str) -> dict[int, Array]:
    return {seed: scores[task] for (name, count, seed), scores in known.items() if (name, count) == (method, n)}


def _row(task: str, method: str, n: int, metric: str, found: Found, primary: bool, ranked: bool) -> dict[str, Any]:
    low, high = found.ci95 or (None, None)
    delta_low, delta_high = found.delta_ci95 or (None, None)
    values = (task, method, n, metric, found.value, low, high, found.delta, delta_low, delta_high, found.p)
    return dict(zip(KEYS, (*values, primary, ranked), strict=True))
