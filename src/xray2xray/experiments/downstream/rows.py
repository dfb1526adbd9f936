"""From scores to the rows of downstream.json: values, intervals, differences from ours.

One image a patient: AUROCs are compared after DeLong. Several: whole patients are resampled, as for all other metrics.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning

from ...core.errors import InputError, UsageError
from ...probing.endpoints import Endpoints
from ...statistics.auroc import auroc
from ...statistics.calibration import calibration
from ...statistics.compare_auroc import delong_over_seeds
from ...statistics.concordance import harrell_c_of_draws, uno_c
from ...statistics.contrasts import holm
from ...statistics.dynamic_auroc import auroc_at
from ...statistics.intervals import SHARE, Resamples
from ...statistics.scores import auprc
from .tasks import is_time, main_metric

KEYS = (
    "task", "method", "n_labels", "metric", "value", "ci_low", "ci_high",
    "delta_vs_ours", "delta_ci_low", "delta_ci_high", "p", "primary", "ranked",
)  # fmt: skip
HORIZON_YEARS = 5.0
WITHIN = {"r2": (-np.inf, 1.0), "mae": (0.0, np.inf)}  # what cannot be left; else 0 to 1

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
        cls,
        text: str,
        tasks: Sequence[str],
        methods: Sequence[str],
        labels: Sequence[int],
        ours: str,
        everyone: int = 0,
    ) -> "Primary":
        """From TASK/METHOD/LABELS, where `all` means `everyone`.

        Raises:
            UsageError: it is not of this form, or not among what the run compares.
        """
        task, _, rest = text.partition("/")
        method, _, n = rest.rpartition("/")
        n = str(everyone) if n == "all" else n
        if task not in tasks or method not in methods or method == ours or n not in map(str, labels):
            raise UsageError(
                f"--primary {text}: say TASK/METHOD/LABELS, such as {tasks[-1]}/{methods[0]}/{labels[-1]}, with a "
                f"task, a method other than {ours} and a number of labels of this run"
            )
        return cls(task, method, int(n))


@dataclass(frozen=True, eq=False)
class Test:
    """The truth of the m test images.

    Attributes:
        tasks: in the order of the rows; the one that `is_time` is the event of `truth`.
        numbers: task -> (m,), NaN where unknown.
        patients: (m,), whose each image is; None where all differ.
    """

    tasks: Sequence[str]
    truth: Endpoints
    numbers: Mapping[str, Array] = field(default_factory=dict)
    patients: NDArray[np.str_] | None = None


def table_rows(
    known: Known,
    test: Test,
    ours: str,
    primary: Primary | None,
    unranked: Collection[tuple[str, int]] = (),
    draws: int = 1000,
) -> list[dict[str, Any]]:
    """All rows, each with `KEYS`; what is not asked or not known is None.

    Args:
        known: every method has the same seeds as ours, or fewer: differences are over those that both have. A task that
            some labels do not suffice for is missing.
        unranked: (method, labels) that are listed only: nothing is tested against a training without its plateau.

    Raises:
        InputError: a task cannot be scored.
    """
    tasks = test.tasks
    methods = list(dict.fromkeys((method, n) for method, n, _ in known))
    rows: list[dict[str, Any]] = []
    for task in tasks:
        scorer = _Scorer.of(task, test, draws)
        for n in sorted({n for _, n in methods}):
            mine = _by_seed(known, ours, n, task)
            for method in [m for m, count in methods if count == n]:
                if not (theirs := _by_seed(known, method, n, task)):
                    continue
                named, ranked = primary == Primary(task, method, n), (method, n) not in unranked
                for metric, found in scorer.score(theirs, {} if method == ours else mine).items():
                    if not ranked or (ours, n) in unranked:
                        found = replace(found, p=None)
                    is_main = metric == main_metric(task, test.numbers)
                    rows.append(_row(task, method, n, metric, found, named and is_main, ranked))
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
    """The m test images of a task whose label is known, and how often each counts: (1 + draws, m), in `some`
    resamples of the patients.

    `kind` is the main metric of the task. `clustered`: some patients have several of them, and are drawn whole.
    """

    kind: str
    columns: tuple[Array, ...]  # labels; or numbers; or times and events
    rows: NDArray[np.intp]
    some: Resamples
    counts: Array
    clustered: bool
    memo: dict[tuple[str, int], Array] = field(default_factory=dict)

    @classmethod
    def of(cls, task: str, test: Test, draws: int) -> "_Scorer":
        truth = test.truth
        if is_time(task):
            columns = [column for column in (truth.time, truth.event) if column is not None]
        elif task in test.numbers:
            columns = [test.numbers[task]]
        else:
            columns = [truth.findings[:, truth.names.index(task)]]
        rows = np.flatnonzero(~np.isnan(columns[0]))
        _, owner = np.unique(rows if test.patients is None else test.patients[rows], return_inverse=True)
        patients = int(owner.max(initial=-1)) + 1
        some = Resamples.of(patients, draws)
        kind = main_metric(task, test.numbers)
        return cls(
            kind, tuple(column[rows] for column in columns), rows, some, some.counts[:, owner], patients < len(rows)
        )

    @property
    def bootstrapped(self) -> tuple[str, ...]:
        """Metrics whose interval is of resampled patients."""
        if self.kind == "auroc":
            return ("auroc", "auprc", "brier") if self.clustered else ("auprc", "brier")
        return ("harrell_c",) if self.kind == "harrell_c" else ("concordance", "r2", "mae")

    def score(self, theirs: Mapping[int, Array], mine: Mapping[int, Array]) -> dict[str, Found]:
        """Metric -> what is found of a method's scores by seed, beside ours of the same seeds."""
        seeds = [seed for seed in theirs if seed in mine]
        everyone = np.stack([scores[self.rows] for scores in theirs.values()])
        paired = [np.stack([side[seed][self.rows] for seed in seeds]) for side in (theirs, mine)] if seeds else None
        found = {} if self.kind != "auroc" or self.clustered else {"auroc": self._auroc(everyone, paired)}
        for metric in self.bootstrapped:
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
        value, bounds = float(drawn[:, 0].mean()), self.some.interval(drawn, WITHIN.get(metric, SHARE))
        if not seeds:
            return Found(value, bounds)
        apart = np.stack([self._drawn(metric, theirs[s]) - self._drawn(metric, mine[s]) for s in seeds])
        p = self.some.p_value(apart) if metric == self.kind else None
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
            return harrell_c_of_draws(time, event, scores, self.counts)
        (y,) = self.columns
        drawn = self.counts.sum(axis=1)
        if metric == "concordance":  # the share of pairs of different numbers that stand in the right order
            return harrell_c_of_draws(y - y.min(), np.ones(len(y)), -scores, self.counts)
        if metric == "r2":
            mean = self.counts @ y / drawn
            left, whole = self.counts @ (scores - y) ** 2, self.counts @ y**2 - drawn * mean**2
            return np.divide(whole - left, whole, out=np.full(len(drawn), np.nan), where=whole > 1e-12)
        if metric == "mae":
            return self.counts @ np.abs(scores - y) / drawn
        if metric == "auroc":
            return auroc(y, scores, self.counts)
        return auprc(y, scores, self.counts) if metric == "auprc" else self.counts @ (scores - y) ** 2 / drawn

    def _points(self, everyone: Array) -> dict[str, float]:
        """Means over seeds that have no interval here; one that does not exist for a seed is left out."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LinAlgWarning)  # of predictions that nearly separate the classes
            each = [self._point(scores) for scores in everyone]
        return {name: float(np.mean([e[name] for e in each])) for name in each[0] if all(name in e for e in each)}

    def _point(self, scores: Array) -> dict[str, float]:
        try:
            if self.kind == "concordance":
                return {}
            if self.kind == "harrell_c":
                time, event = self.columns
                dynamic = float(auroc_at(time, event, scores, [HORIZON_YEARS])[0])
                return {"uno_c": uno_c(time, event, scores), "auroc_5y": dynamic}
            found = calibration(self.columns[0], scores)
        except InputError:  # nobody is followed so long, or the predictions separate the classes
            return {}
        return {"calibration_slope": found.slope, "ici": found.ici, "expected_observed": found.expected_observed}


def _by_seed(known: Known, method: str, n: int, task: str) -> dict[int, Array]:
    chosen = ((seed, scores) for (name, count, seed), scores in known.items() if (name, count) == (method, n))
    return {seed: scores[task] for seed, scores in chosen if task in scores}


def _row(task: str, method: str, n: int, metric: str, found: Found, primary: bool, ranked: bool) -> dict[str, Any]:
    low, high = found.ci95 or (None, None)
    delta_low, delta_high = found.delta_ci95 or (None, None)
    values = (task, method, n, metric, found.value, low, high, found.delta, delta_low, delta_high, found.p)
    return dict(zip(KEYS, (*values, primary, ranked), strict=True))
