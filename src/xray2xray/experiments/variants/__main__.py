"""What each choice of M is worth: variants trained from nothing on the same patients with the same number of FLOPs.

    python -m xray2xray.experiments.variants CT... --views STORE --out DIR --teraflops 8

STORE is a view store of virtual patients. Every variant is trained so many times, from seed 0 on, and scored on unseen
virtual patients and on the CTs, beside baselines that learned from the same patients. Trainings that are there are not
repeated, so several processes may share DIR: `--only NAME...` trains these, and scores nothing. DIR gets variants.json
and variants.md, and DIR/NAME/SEED/model each world model, as `WorldModel.from_pretrained` takes it.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.errors import InputError, UsageError
from ...data.store import ViewStore
from ...evaluation.baselines import fit_on_store, training_views
from ...evaluation.cases import rendered, sources
from ...evaluation.results import Failure, as_json
from ...evaluation.scoring import Cohort
from ...evaluation.views import evaluate_cases
from ...io.files import write_json, write_text
from ...models.world_model import WorldModel
from ...projection import STANDARD_ARC
from ...reporting.tables import heading, interval, p_value, table
from ...statistics.contrasts import holm_by_name
from ...statistics.intervals import mean_interval, mean_p
from ...training.cache import cached_latents
from ...training.checkpoint import CHECKPOINT
from ...training.loop import fit
from ...training.steps import Machine
from ..command import command, parser
from .recipes import VARIANTS, Data, Trainable, flops_of_a_step, models_and_predictors, seeded

BASELINES = ("mean_view", "ridge_pca")


def main(words: Sequence[str] | None = None) -> None:
    made = parser("variants", __doc__)
    made.add_argument("ct", nargs="*", help="chest CTs; couches are removed")
    made.add_argument("--views", type=Path, required=True, help="a view store of virtual patients")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--source", default="tiny", help="the model whose V is used")
    made.add_argument("--patients", type=int, default=2560, help="of the store")
    made.add_argument("--held-out", type=int, default=20, help="of these, only looked at while training")
    made.add_argument("--teraflops", type=float, default=8.0, help="of a training")
    made.add_argument("--seeds", type=int, default=5, help="trainings of a variant, at most")
    made.add_argument("--procedural", type=int, default=40, help="virtual patients that are scored")
    made.add_argument("--only", nargs="+", choices=VARIANTS, metavar="NAME", help="train these, and score nothing")
    print(command(made, run, words))


def run(options: argparse.Namespace) -> str:
    """Train what is wanted and not there yet, score all of it, and return the report.

    Raises:
        InputError: the store, the model or a checkpoint cannot be used, or no case could.
        UsageError: nobody is left to be trained on, no budget, no seed.
    """
    if not 0 <= options.held_out < options.patients or options.teraflops <= 0 or options.seeds < 1:
        raise UsageError("give more --patients than --held-out, --teraflops above 0, and one of --seeds at least")
    data = _data(options.source, options.views, options.patients, options.held_out, options.out / "latents")
    steps = {name: _steps(name, data, options.teraflops * 1e12) for name in options.only or VARIANTS}
    trained = {name: _trained(name, data, count, options.seeds, options.out) for name, count in steps.items()}
    if options.only:
        return f"trained: {', '.join(options.only)}"
    models, predictors = models_and_predictors(trained, data.vision)
    failed: list[Failure] = []
    cases = rendered(
        list(sources(options.ct, options.procedural, without_couch=True)),
        ViewStore.open(options.views).geometry,
        failed,
    )
    baselines = fit_on_store(data.views[: len(data.weight)], STANDARD_ARC.index(0.0))
    cohort, _ = evaluate_cases(cases, models, predictors | {name: baselines[name] for name in BASELINES})
    result = {
        "variants": {
            name: {
                "words": VARIANTS[name].words,
                "minus": VARIANTS[name].minus,
                "seeds": len(runs),
                "parameters": sum(p.numel() for p in runs[0].model.parameters()),
                "steps": steps[name],
            }
            for name, runs in trained.items()
        },
        "groups": {level: summary(cohort.only(level)) for level in cohort.levels},
        "failed": as_json(failed),
        "settings": {key: str(value) for key, value in vars(options).items()},
    }
    write_json(options.out / "variants.json", result)
    text = markdown(result)
    write_text(options.out / "variants.md", text)
    return text


def _data(source: str, store: Path, patients: int, held_out: int, latents: Path) -> Data:
    vision = WorldModel.from_pretrained(source).vision
    views = training_views(store)[:patients]
    if len(views) <= held_out:
        raise InputError(f"{store} holds {len(views)} patients and --held-out asks for {held_out}; render more")
    encoded, tokens = cached_latents(latents, f"{source} {store.resolve()} {len(views)}", vision, views)
    return Data(vision, views, encoded, tokens, torch.ones(len(views) - held_out))


def _steps(name: str, data: Data, flops: float) -> int:
    """What the FLOPs of a training buy."""
    variant = VARIANTS[name]
    return max(1, round(flops / flops_of_a_step(seeded(variant, data, 0), variant.loop)))


def _trained(name: str, data: Data, steps: int, most: int, out: Path) -> list[Trainable]:
    """A variant from every seed; where its checkpoint is, the training goes on from there, or is already at its end."""
    variant, runs = VARIANTS[name], []
    loop = replace(variant.loop, steps=steps, warm_up=steps // 10, check_every=max(1, steps // 2))
    for seed in range(min(most, variant.seeds)):
        folder = out / name / str(seed)
        objective = seeded(variant, data, seed)
        goes_on = (folder / CHECKPOINT).exists()
        if not goes_on:
            objective.prepare()
        fit(objective, loop, Machine(seed=seed), folder, goes_on)
        runs.append(objective)
        for model in models_and_predictors({name: [objective]}, data.vision)[0].values():
            model.save_pretrained(folder / "model")
    return runs


def summary(cohort: Cohort) -> dict[str, Any]:
    """Of each variant: PSNR beyond 30 degrees, its SD over seeds, and what it has more than the one that it is
    compared with, paired, with a 95 % interval and p, adjusted after Holm. Of baselines: PSNR, and what it has more
    than ridge regression."""
    far = cohort.beyond
    runs: dict[str, list[np.ndarray]] = {}
    for key, scores in (cohort.models | cohort.baselines).items():
        runs.setdefault(key.partition(" ")[0], []).append(scores.psnr[:, far].mean(axis=1))
    patients = {name: np.mean(runs[name], axis=0) for name in (*VARIANTS, *BASELINES) if name in runs}
    found: dict[str, dict[str, Any]] = {}
    p: dict[tuple[str, str], float] = {}
    for name, psnr in patients.items():
        of_seeds = [run.mean() for run in runs[name]]
        row: dict[str, Any] = {"psnr_beyond_30": float(psnr.mean()), "sd_over_seeds": None}
        if len(of_seeds) > 1:
            row["sd_over_seeds"] = float(np.std(of_seeds, ddof=1))
        minus = VARIANTS[name].minus if name in VARIANTS else name
        for words, other in (("difference", minus), ("over_ridge", "ridge_pca")):
            apart = psnr - patients[other]
            row |= {words: float(apart.mean()), f"{words}_ci95": mean_interval(apart)}
            if minus != name or words == "over_ridge":
                p[name, words] = mean_p(apart)
        found[name] = row
    for (name, words), adjusted in holm_by_name(p).items():
        found[name][f"{words}_p"] = adjusted
    return {"n": len(cohort.names), "scores": found}


def markdown(result: dict[str, Any]) -> str:
    """One table a group of cases."""
    lines = ["# Variants of M", ""]
    for evidence_level, group in result["groups"].items():
        rows = []
        for name, found in group["scores"].items():
            told = result["variants"].get(name)
            psnr, sd = found["psnr_beyond_30"], found["sd_over_seeds"]
            apart, ridge = (
                f"{found[key]:+.2f}{interval(found[f'{key}_ci95'], '+.2f')}{p_value(found.get(f'{key}_p'))}"
                for key in ("difference", "over_ridge")
            )
            other = "" if told is None or told["minus"] == name else f"{told['minus']}: {apart}"
            rows.append(
                [
                    f"`{name}`" if told is None else told["words"],
                    "" if told is None else f"{told['parameters'] / 1e6:.1f}",
                    "" if told is None else str(told["steps"]),
                    f"{psnr:.2f}" + ("" if sd is None else f" ± {sd:.2f} ({told['seeds']})"),
                    ridge,
                    other,
                ]
            )
        head = [
            heading(evidence_level, group["n"]),
            "parameters, M",
            "steps",
            "PSNR far ± SD (seeds)",
            "less `ridge_pca`",
            "less",
        ]
        lines += [*table(head, rows), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
