"""Do a probe's probabilities mean what they say, on unseen patients and on another X-ray machine?

    python -m xray2xray.experiments.downstream.calibration VIEWS --out DIR

VIEWS is a view store of virtual patients with frontals. Probes learn from labelled training patients; their
probabilities are put right on the validation patients (`downstream.recalibration`) and judged on the test patients, as
the store has them and as another machine would: with a harder beam, less dose and more blur (`other_machine`). DIR
gets calibration.json and calibration.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...probing.probe import Probe, fit
from ...probing.recalibration import Recalibration
from ...projection.detector import detect
from ...reporting.tables import table
from ...statistics.auroc import auroc
from ...statistics.calibration import calibration
from ..command import command, parser, write_result
from .cohort import FINDINGS, Cohort, read_cohort
from .features import Array, Bench

METHODS = (("age_sex",), ("pixels",), ("vision",), ("volumetric",), ("age_sex", "volumetric"))
HARDER = 0.93  # a harder beam is attenuated less: water from 60 to 70 keV
KERMA_UGY, PHOTONS_PER_UGY_MM2 = 0.5, 30_000  # a fifth of a usual exposure
BLUR_MM = 1.5
JUDGED = {
    ("test", "raw"): "test patients",
    ("test", "recalibrated"): "recalibrated",
    ("other machine", "raw"): "another machine",
    ("other machine", "recalibrated"): "recalibrated as before",
    ("other machine", "recalibrated there"): "recalibrated there",
}


def main(words: Sequence[str] | None = None) -> None:
    made = parser("downstream.calibration", __doc__)
    made.add_argument("views", type=Path)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--labels", type=int, default=2000, help="training patients whose labels are given")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the draws of labels")
    made.add_argument("--source", default="tiny")
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    cohort = read_cohort(options.views)
    here = Bench(cohort, options.source, options.out / "features")
    rows = judge(cohort, here, OtherMachine(cohort, options.source, options.out / "other"), options)
    settings = {name: str(value) for name, value in vars(options).items()}
    result = {"n_test": len(cohort.rows("test")), "n_validation": len(cohort.rows("validation"))} | {"rows": rows}
    write_result(options.out, "calibration", result | {"settings": settings}, markdown(rows))


class OtherMachine(Bench):
    """The same patients, seen by `other_machine`."""

    def views(self, yaw_deg: float) -> Array:
        views_p, pixel_mm = super().views(yaw_deg), self.cohort.store.geometry.pixel_mm
        return np.stack([other_machine(view_p, pixel_mm, seed) for seed, view_p in enumerate(views_p)])


def other_machine(view_p: Array, pixel_mm: float, seed: int) -> Array:
    """Line integrals (h, w) with a harder beam, a fifth of the dose and a blurring detector."""
    photons = KERMA_UGY * PHOTONS_PER_UGY_MM2 * pixel_mm**2
    return detect(HARDER * view_p, photons, pixel_mm, BLUR_MM, seed)


def judge(cohort: Cohort, here: Bench, there: Bench, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each finding, method and way of being judged: means over the draws of labels.

    Raises:
        InputError: a finding cannot be learned or judged.
    """
    rows = []
    for sets in METHODS:
        (x, blocks), (x_there, _) = here.joined(sets), there.joined(sets)
        for column, finding in enumerate(cohort.findings):
            labels = cohort.truth.findings[:, column].astype(np.int64)
            found: dict[tuple[str, str], list[dict[str, float]]] = {key: [] for key in JUDGED}
            for seed in options.seeds:
                known = cohort.labelled(options.labels, seed)
                probe = fit(x[known], labels[known], label=finding, features="+".join(sets), seed=seed, blocks=blocks)
                for key, predicted in _predictions(probe, cohort, labels, x, x_there).items():
                    found[key].append(_figures(labels[cohort.rows("test")], predicted))
            for (where, how), figures in found.items():
                mean = {name: float(np.mean([one[name] for one in figures])) for name in figures[0]}
                rows.append({"finding": finding, "method": "+".join(sets), "judged": where, "by": how, **mean})
    return rows


def _predictions(
    probe: Probe, cohort: Cohort, labels: np.ndarray, here: Array, there: Array
) -> dict[tuple[str, str], Array]:
    """Probabilities of the test patients, as `JUDGED` has them."""
    validation, test = cohort.rows("validation"), cohort.rows("test")
    told_here = Recalibration.fit(labels[validation], probe.probability(here[validation]))
    told_there = Recalibration.fit(labels[validation], probe.probability(there[validation]))
    seen_here, seen_there = probe.probability(here[test]), probe.probability(there[test])
    predictions = (seen_here, told_here(seen_here), seen_there, told_here(seen_there), told_there(seen_there))
    return dict(zip(JUDGED, predictions, strict=True))


def _figures(labels: np.ndarray, predicted: Array) -> dict[str, float]:
    found = calibration(labels, predicted)
    return {
        "auroc": float(auroc(labels, predicted)),
        "calibration_slope": found.slope,
        "ici": found.ici,
        "expected_observed": found.expected_observed,
    }


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A row for each method: AUROC here and there, then ICI and E/O as they are judged; of all findings the means."""
    head = ["AUROC, on another machine", *(f"{words}: ICI, E/O" for words in JUDGED.values())]
    lines = ["# Calibration", ""]
    for heading, findings in (("mean of the findings", FINDINGS), ("cvd_prevalent", ("cvd_prevalent",))):
        body = []
        for method in dict.fromkeys(row["method"] for row in rows):
            some = [row for row in rows if row["method"] == method and row["finding"] in findings]
            judged = {key: [r for r in some if (r["judged"], r["by"]) == key] for key in JUDGED}
            areas = [np.mean([r["auroc"] for r in judged[where, "raw"]]) for where in ("test", "other machine")]
            cells = [f"{np.mean([r['ici'] for r in found]):.3f}, {_off(found):.2f}" for found in judged.values()]
            body.append([f"`{method}`", ", ".join(f"{area:.3f}" for area in areas), *cells])
        lines += [*table([heading, *head], body), ""]
    return "\n".join([*lines, "E/O of several findings is the mean distance from 1, as a ratio above 1.", ""])


def _off(rows: Sequence[dict[str, Any]]) -> float:
    """E/O of one finding; of several, how far off it is: too many and too few must not make up for each other."""
    ratios = [row["expected_observed"] for row in rows]
    return float(ratios[0] if len(ratios) == 1 else np.exp(np.mean(np.abs(np.log(ratios)))))


if __name__ == "__main__":
    main()
