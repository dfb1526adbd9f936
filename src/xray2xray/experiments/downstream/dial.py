"""What an imagined lateral is worth, as the hazard moves from what a frontal shows to what takes depth.

    python -m xray2xray.experiments.downstream.dial VIEWS --out DIR

VIEWS is a view store of virtual patients with frontals and laterals. Their follow-up is drawn anew for each turn of the
dial, by the same chances (docs/reference/risk.md); Cox regressions learn it from labelled training patients and are
judged by Harrell's C on the test patients. DIR gets dial.json, dial.md and dial.png.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...io.files import atomic_path
from ...parallel.progress import progress
from ...phantoms.risk import Dial, outcome
from ...probing.survival import CoxHead
from ...reporting.tables import ADJUSTED, p_value, table
from ...reporting.tables import interval as bounds
from ...statistics.concordance import harrell_c_of_draws
from ...statistics.contrasts import holm_by_name
from ...statistics.intervals import SHARE, Resamples
from ..command import command, parser, write_result
from .clinical import virtual_patients
from .cohort import TIME_TASK, Cohort, read_cohort
from .features import Array, Bench

FRONTAL_SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)  # of the image's part of the hazard; the rest takes depth, none is hidden
OURS = "volumetric"
METHODS: Mapping[str, tuple[str, ...]] = {
    "pixels": ("pixels",),
    "vision": ("vision",),
    OURS: (OURS,),
    "vision+lateral": ("vision", "lateral"),
}
DRAWS = 300


def main(words: Sequence[str] | None = None) -> None:
    made = parser("downstream.dial", __doc__)
    made.add_argument("views", type=Path)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--labels", type=int, default=2000, help="training patients whose follow-up is given")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the draws of labels")
    made.add_argument("--source", default="tiny")
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    cohort = read_cohort(options.views)
    rows = turn(cohort, Bench(cohort, options.source, options.out / "features"), options.labels, options.seeds)
    settings = {name: str(value) for name, value in vars(options).items()}
    result = {"n_test": len(cohort.rows("test")), "rows": rows, "settings": settings}
    write_result(options.out, "dial", result, markdown(rows))
    picture(options.out / "dial.png", rows)


def turn(cohort: Cohort, bench: Bench, labels: int, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each share and method: C with its interval, and the method's C minus V's.

    Raises:
        InputError: patients are not virtual, or too few.
    """
    test = cohort.rows("test")
    some = Resamples.of(len(test), DRAWS)
    sets = {name: bench.joined(parts) for name, parts in METHODS.items()}
    rows: list[dict[str, Any]] = []
    for share in progress(FRONTAL_SHARES, "dial"):
        time, event = followed(cohort, Dial(share, 1 - share, 0.0))
        drawn = {}
        for name, (x, blocks) in sets.items():
            drawn[name] = np.stack(
                [
                    harrell_c_of_draws(
                        time[test], event[test], _risk(x, blocks, time, event, known, test, seed), some.counts
                    )
                    for seed, known in ((seed, cohort.labelled(labels, seed)) for seed in seeds)
                ]
            )
        for name, found in drawn.items():
            apart = found - drawn["vision"]
            rows.append(
                {
                    "frontal": share,
                    "method": name,
                    "harrell_c": float(found[:, 0].mean()),
                    "ci95": some.interval(found, SHARE),
                    "over_vision": float(apart[:, 0].mean()),
                    "over_vision_ci95": some.interval(apart),
                    "over_vision_p": some.p_value(apart),
                }
            )
    tested = {i: row["over_vision_p"] for i, row in enumerate(rows) if row["method"] != "vision"}
    for i, p in holm_by_name(tested).items():
        rows[i]["over_vision_p"] = p
    return rows


def followed(cohort: Cohort, dial: Dial) -> tuple[Array, NDArray[np.int64]]:
    """Years of follow-up and how it ended, (n,) each, of every patient under a dial."""
    outcomes = [outcome(patient, dial) for patient in virtual_patients(cohort)]
    return np.array([one.time_years for one in outcomes]), np.array([one.event for one in outcomes])


def _risk(
    x: Array,
    blocks: Sequence[int],
    time: Array,
    event: NDArray[np.int64],
    known: NDArray[np.intp],
    test: NDArray[np.intp],
    seed: int,
) -> Array:
    head = CoxHead(TIME_TASK, seed=seed).fit(x[known], time[known], event[known], blocks=blocks)
    return head.predict_risk(x[test])


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    def cells(name: str, value: str, spec: str) -> list[str]:
        of_method = [row for row in rows if row["method"] == name]
        key = "ci95" if value == "harrell_c" else f"{value}_ci95"
        tested = value == "over_vision"
        return [
            f"{row[value]:{spec}}{bounds(row[key], spec)}{p_value(row['over_vision_p'] if tested else None)}"
            for row in of_method
        ]

    head = ["frontal share of the hazard", *(f"{share:.0%}" for share in FRONTAL_SHARES)]
    body = [[f"`{name}`", *cells(name, "harrell_c", ".3f")] for name in METHODS]
    apart = [[f"`{name}` less `vision`", *cells(name, "over_vision", "+.3f")] for name in METHODS if name != "vision"]
    return "\n".join(["# The dial", "", f"Differences: {ADJUSTED}.", "", *table(head, [*body, *apart]), ""])


def picture(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """C less that of V's latents of the frontal, over the share of the hazard that takes depth."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for name, colour in zip(METHODS, ("#999999", "#000000", "#D55E00", "#0072B2"), strict=True):
        some = [row for row in rows if row["method"] == name]
        depth = [1 - row["frontal"] for row in some]
        low, high = zip(*(row["over_vision_ci95"] for row in some), strict=True)
        axis.plot(depth, [row["over_vision"] for row in some], "o-", color=colour, ms=4, lw=1.6, label=name)
        axis.fill_between(depth, low, high, color=colour, alpha=0.12, lw=0)
    axis.set_xlabel("share of the hazard that takes depth")
    axis.set_ylabel("C, less that of V alone")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)


if __name__ == "__main__":
    main()
