"""What real anatomy adds: `direct`, taught with warps of the other CTs, on the CT that was left out.

    python -m xray2xray.experiments.variants.leave_one_out CT.nii.gz ... --views STORE --out DIR

STORE holds the virtual patients that the model was trained on. Every CT is warped to the outlines of virtual patients;
then, for each CT in turn, training goes on from the model with the warps of the others and virtual patients in equal
parts. The baselines learn from all of STORE and the same warps. DIR gets leave_one_out.json and leave_one_out.md.
"""

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.errors import UsageError
from ...data.store import ViewStore
from ...evaluation.baselines import fit_on_store, training_views
from ...evaluation.cases import Case, sources
from ...evaluation.results import as_json
from ...evaluation.scoring import case_rows, joined, summarise
from ...evaluation.views import evaluate_cases
from ...models.world_model import WorldModel
from ...projection import STANDARD_ARC, render
from ...reporting.tables import interval, table
from ...training.cache import encode_all
from ...training.loop import fit
from ...training.objectives.direct import DirectObjective, DirectTraining
from ...training.steps import LoopConfig, Machine
from ..command import command, parser, write_result
from ..warps.render import render_warps

BEFORE = "virtual patients alone"
WARPS = 0.5  # their share of the draws
RATE = 3e-4


def main(words: Sequence[str] | None = None) -> None:
    made = parser("variants.leave_one_out", __doc__)
    made.add_argument("ct", nargs="+", help="chest CTs, at least two")
    made.add_argument("--views", type=Path, required=True, help="the view store of the virtual patients")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--source", default="tiny", help="the model to go on from")
    made.add_argument("--warps", type=int, default=60, help="of each CT")
    made.add_argument("--patients", type=int, default=600, help="virtual patients that training goes on with")
    made.add_argument("--steps", type=int, default=300)
    made.add_argument("--seed", type=int, default=0)
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    if len(options.ct) < 2:
        raise UsageError("leaving one out needs at least two CTs")
    chosen = list(sources(options.ct, without_couch=True))  # as the warps are
    named = zip(options.ct, chosen, strict=True)
    warped = [_warps(path, options.out / "warps" / source.name, options.warps) for path, source in named]
    virtual = training_views(options.views)
    before = WorldModel.from_pretrained(options.source, "direct")
    latents = [encode_all(before.vision, views)[0] for views in (*warped, virtual[: options.patients])]
    geometry = ViewStore.open(options.views).geometry

    parts = []
    for i, source in enumerate(chosen):
        others = [k for k in range(len(chosen)) if k != i]
        after = _go_on(
            before,
            np.concatenate([latents[k] for k in (*others, -1)]),
            np.concatenate([*(warped[k] for k in others), virtual[: options.patients]]),
            sum(len(warped[k]) for k in others),
            options.steps,
            options.seed,
            options.out / source.name,
        )
        case = Case(source.name, source.evidence_level, render(source.volume(), geometry, STANDARD_ARC))
        learned = np.concatenate([*(warped[k] for k in others), virtual])
        patients = [f"CT {k}" for k in others for _ in warped[k]] + [f"virtual {k}" for k in range(len(virtual))]
        baselines = fit_on_store(learned, STANDARD_ARC.index(0.0), patients)
        cohort, _ = evaluate_cases([case], {"direct": after, BEFORE: before}, baselines)
        parts.append(cohort)
    cohort = joined(parts)
    result = {
        **as_json(summarise(cohort, options.seed)),
        "cases": as_json(case_rows(cohort)),
        "settings": {name: str(value) for name, value in vars(options).items()},
    }
    write_result(options.out, "leave_one_out", result, _markdown(result))


def _warps(ct: str, folder: Path, count: int) -> np.ndarray:
    """Views uint16 (count + 1, 37, h, w) of a CT without its couch, and of its warps; kept in `folder`."""
    return render_warps([ct], folder, count, remove_couch=True).read_standard()


def _go_on(
    model: WorldModel, latents: np.ndarray, views: np.ndarray, warps: int, steps: int, seed: int, out: Path
) -> WorldModel:
    """The model after more steps, in which the first `warps` studies are `WARPS` of the draws."""
    patients = len(views) - warps
    weight = torch.cat([torch.full((warps,), WARPS / warps), torch.full((patients,), (1 - WARPS) / patients)])
    transition: Any = copy.deepcopy(model.transition).requires_grad_(True)
    objective = DirectObjective(transition, model.vision, latents, views, weight, DirectTraining())
    fit(objective, LoopConfig(steps, batch=12, rate=RATE, warm_up=steps // 10), Machine(seed=seed), out)
    return WorldModel(model.vision, objective.average)


def _markdown(result: dict) -> str:
    names = [row["case"] for row in result["cases"]]
    rows = []
    for group in ("models", "baselines"):
        for name, found in result[group].items():
            each = [row[group].get(name, {}).get("psnr_beyond_30") for row in result["cases"]]
            cells = ["" if value is None else f"{value:.2f}" for value in each]
            rows.append([name, *cells, f"{found['psnr']['mean_beyond_30']:.2f}"])
    contrast = result["contrast"]
    said = f"{contrast['name']}: {contrast['mean']:+.2f} dB{interval(contrast['ci95'], '.2f')}."
    return "\n".join([*table(["PSNR far, dB", *names, "mean"], rows), "", said, ""])


if __name__ == "__main__":
    main()
