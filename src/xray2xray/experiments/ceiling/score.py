"""From answers to numbers: AUROC and concordance, with what a bootstrap over test patients makes of them."""

from typing import NamedTuple

import numpy as np

from ...statistics.auroc import auroc
from ...statistics.resampling import interval
from .cohort import People


class Score(NamedTuple):
    """`value` (8,): the six labels, cvd_time, and their mean; `draws` (8, d): the same in each resample."""

    value: np.ndarray
    draws: np.ndarray


def score(answers: np.ndarray, test: People, counts: np.ndarray) -> Score:
    """Score answers (k, n, 7), means over k trainings; NaN where the test patients lack a class.

    Args:
        counts: (d, n), how often each patient is drawn, as `resampling.draw_patients` gives it.
    """
    all_counts = np.vstack([np.ones((1, len(test))), counts])
    found = np.array([_endpoints(one, test, all_counts) for one in answers]).mean(axis=0)
    found = np.vstack([found, found.mean(axis=0)])
    return Score(found[:, 0], found[:, 1:])


def concordance(log_hazard: np.ndarray, event: np.ndarray, time: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Harrell's C (d,): of an event and one followed for longer, how often the event had the higher hazard.

    Args:
        log_hazard, event, time: (n,); ties of the hazard count half.
        counts: (d, n).

    Source: Harrell et al., JAMA 247:2543, 1982.
    """
    longer = time[None] > time[event][:, None]
    ahead = log_hazard[event][:, None] - log_hazard[None]
    won = np.where(longer, (ahead > 0) + 0.5 * (ahead == 0), 0.0)
    pairs = ((counts[:, event] @ longer) * counts).sum(axis=1)
    wins = ((counts[:, event] @ won) * counts).sum(axis=1)
    return np.divide(wins, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)


def as_json(found: Score, names: tuple[str, ...]) -> dict[str, dict[str, object]]:
    """Each endpoint's value and 95 % interval; None where there is no number."""
    return {
        name: {"value": float(value) if np.isfinite(value) else None, "ci95": interval(draws)}
        for name, value, draws in zip(names, found.value, found.draws, strict=True)
    }


def _endpoints(answers: np.ndarray, test: People, counts: np.ndarray) -> np.ndarray:
    """(7, d)."""
    labels = [auroc(label, column, counts) for label, column in zip(test.labels.T, answers.T[:6], strict=True)]
    return np.stack([*labels, concordance(answers[:, 6], test.event, test.time_years, counts)])
