"""Whole and cut scans apart: views of a cut scan have black margins, which flatter every predictor."""

from collections.abc import Mapping
from typing import Any

from ...evaluation.results import Estimate, as_json
from ...evaluation.scoring import Cohort, best_at_each_angle, scores_of_best
from ...reporting.tables import OVER_PATIENTS, interval, table
from .scans import known_scans

ALL = "all"


def by_range(cohort: Cohort, model: str, seed: int) -> dict[str, Any]:
    """PSNR in dB of each predictor far (at least 30 degrees from the input) and near, and how far `model` is ahead.

    `best` is the best baseline at each angle, chosen on the scans of the row. `ahead`: of how many scans.
    """
    known = known_scans()
    rows_of = {ALL: list(range(len(cohort.names)))}
    for row, name in enumerate(cohort.names):
        rows_of.setdefault(known[name].range, []).append(row)
    near = cohort.scored & ~cohort.beyond
    found = {}
    for name, rows in rows_of.items():
        scores = {key: one[rows] for key, one in (cohort.models | cohort.baselines).items()}
        baselines = {key: scores[key] for key in cohort.baselines}
        choice = best_at_each_angle({key: one.psnr for key, one in baselines.items()})
        scores["best"] = scores_of_best(baselines, choice)
        psnr = {key: one.psnr for key, one in scores.items()}
        found[name] = {
            key: {
                "far": Estimate.of(one[:, cohort.beyond].mean(axis=1), seed),
                "near": Estimate.of(one[:, near].mean(axis=1), seed),
                "ahead_by_far": Estimate.of((psnr[model] - one)[:, cohort.beyond].mean(axis=1), seed),
                "ahead_by_near": Estimate.of((psnr[model] - one)[:, near].mean(axis=1), seed),
                "ahead": int(((psnr[model] - one)[:, cohort.beyond].mean(axis=1) > 0).sum()),
                "scans": len(rows),
            }
            for key, one in psnr.items()
        }
    return dict(as_json(found))


def markdown(ranges: Mapping[str, Any]) -> str:
    """A table for each range of scans."""
    lines = ["PSNR in dB; far is at least 30 degrees from the frontal; " + OVER_PATIENTS + ".", ""]
    for name, rows in ranges.items():
        count = next(iter(rows.values()))["scans"]
        lines += [f"### {name} ({count} scans)", ""]
        cells = [
            [
                key,
                f"{row['far']['mean']:.2f}",
                f"{row['near']['mean']:.2f}",
                f"{row['ahead_by_far']['mean']:+.2f}{interval(row['ahead_by_far']['ci95'], '.2f')}",
                f"{row['ahead_by_near']['mean']:+.2f}{interval(row['ahead_by_near']['ci95'], '.2f')}",
                f"{row['ahead']} of {row['scans']}",
            ]
            for key, row in rows.items()
        ]
        first = next(iter(rows))
        lines += [*table(["", "far", "near", f"`{first}` ahead by, far", "near", "ahead on"], cells), ""]
    return "\n".join(lines)
