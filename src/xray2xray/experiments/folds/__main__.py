"""Cross-validation on real scans: what the volumetric form gains from them, beside baselines taught by the same.

    python -m xray2xray.experiments.warps CT... --count 8 --remove-couch --lifted --out REAL
    python -m xray2xray.experiments.folds --real REAL --virtual VIRTUAL... --start MODEL --out DIR

REAL holds the scans of folds.csv with their warps, VIRTUAL virtual patients, all rendered with --lifted and without
couches. For each fold training goes on from MODEL, which has learned from virtual patients only, with the scans of the
other folds, and what it has learned is judged on the scans of the fold. DIR gets views.json and views.md of all scans,
folds.json and folds.md with whole and cut scans apart, and a folder with the training of each fold. A second call goes
on where the first one stopped.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from ...core.evidence import FROM_CT
from ...data.store import ViewStore
from ...evaluation.cases import Case
from ...evaluation.detail import Collector, summarise_detail
from ...evaluation.metrics import DATA_RANGE
from ...evaluation.scoring import case_rows, joined, summarise
from ...evaluation.views import UNIT, Mirrored, ViewModel, ViewsResult, evaluate_cases, mean_depth, view_draws
from ...models.world_model import WorldModel
from ...projection.geometry import STANDARD_ARC
from ...reporting.views import write_views
from ..command import command, parser, write_result
from .report import by_range, markdown
from .scans import FOLDS, Split, patients, split
from .teach import Taught, baselines_on, train_on

TAUGHT, BEFORE, PACKAGED = "volumetric", "virtual patients only", "direct+mirrored"


def main(words: Sequence[str] | None = None) -> None:
    made = parser("folds", __doc__)
    made.add_argument("--real", type=Path, required=True, help="the store of real scans and their warps")
    made.add_argument("--virtual", type=Path, nargs="+", required=True, help="stores of virtual patients")
    made.add_argument("--start", required=True, help="a model whose volumetric form has learned from virtual patients")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--share", type=float, default=0.5, help="of the draws that are real, 0 to 1")
    made.add_argument("--scans", type=int, help="learn from so many real scans only")
    made.add_argument("--steps", type=int, default=350)
    made.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    made.add_argument("--baseline-patients", type=int, default=300, help="virtual patients that teach the baselines")
    made.add_argument("--samples", type=int, default=0, help="of each case")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--threads", type=int, default=1)
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    real = ViewStore.open(options.real)
    virtual = [ViewStore.open(folder) for folder in options.virtual]
    start = WorldModel.from_pretrained(options.start, "volumetric")
    packaged = Mirrored(WorldModel.from_pretrained("tiny", "direct"))
    scans = patients(real).keys()
    collector, cohorts = Collector(real.geometry), []
    for fold in options.folds:
        chosen = split(real, fold, options.scans, options.seed)
        taught = taught_by(chosen, real, virtual, options.share)
        donors = sum(study in scans for study in chosen.learned) if options.share else 6
        after = train_on(taught, start, donors, options.steps, options.seed, options.out / f"fold-{fold}")
        models: dict[str, ViewModel] = {TAUGHT: after, BEFORE: start, PACKAGED: packaged}
        baselines = baselines_on(taught, options.baseline_patients, options.seed)
        baselines |= mean_depth({TAUGHT: after}, real.geometry, 0.0)
        draws, _ = view_draws({TAUGHT: after}, options.samples, 0.0, options.seed) if options.samples else ({}, None)
        of_fold = Collector(real.geometry, draws)
        cases = (Case(study, FROM_CT, real.read(study, STANDARD_ARC).views_p) for study in chosen.judged)
        cohort, _ = evaluate_cases(cases, models, baselines, collector=of_fold)
        cohorts.append(cohort)
        collector.take(of_fold)
    cohort = joined(cohorts)
    settings = {name: str(value) for name, value in vars(options).items()}
    result = ViewsResult(
        **vars(summarise(cohort, options.seed)),
        input_yaw_deg=0.0,
        data_range=DATA_RANGE,
        unit=UNIT,
        cases=case_rows(cohort),
        failed=[],
        skipped_baselines={},
        settings={**settings, "remove_couch": True},
        sharpness=summarise_detail(cohort, collector, options.samples, options.seed),
    )
    write_views(options.out, result)
    ranges = by_range(cohort, TAUGHT, options.seed)
    write_result(options.out, "folds", {"ranges": ranges, "settings": settings}, markdown(ranges))


def taught_by(chosen: Split, real: ViewStore, virtual: Sequence[ViewStore], share: float) -> Taught:
    """What a fold learns from; real studies and virtual patients that have no share of the draws are left out."""
    places = [(real, study) for study in chosen.learned] if share > 0 else []
    others = [(store, study) for store in virtual for study in store.studies()] if share < 1 else []
    return Taught((*places, *others), len(places), share)


if __name__ == "__main__":
    main()
