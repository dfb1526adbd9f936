"""Train the lifting network on a cache of chests.

    python -m xray2xray.experiments.lifting.train CACHE --out OUT --steps 2400 --stop-at 600
    python -m xray2xray.experiments.lifting.train CACHE --out OUT --steps 2400 --resume

CACHE holds the folders `virtual` and `ship` of `.lifting.cohort`, with real scans and their warps in the latter. Half
of each batch is virtual, half real. OUT gets checkpoint.pt, metrics.jsonl, and at the end lifting.safetensors and
config.json.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from ...io.model_folder import read_part, write_part
from ...models.transitions.volumetric import LiftingConfig, LiftingNetwork
from ...training.loop import fit
from ...training.objectives.volumetric import GENTLE, Augmentation, LiftingObjective, Source
from ...training.steps import LoopConfig, Machine
from .cohort import Cohort

FOLDERS = {"virtual": "virtual", "whole": "virtual", "scan": "ship", "warp": "ship"}


def cohorts(cache: Path) -> dict[str, Cohort]:
    """Virtual patients as scanned and whole, real scans, and their warps."""
    return {kind: Cohort(cache / folder, [kind]) for kind, folder in FOLDERS.items()}


def shares(real: float) -> dict[str, float]:
    """The share of a batch that each kind makes where `real` of it is real."""
    return {"virtual": (1 - real) / 2, "whole": (1 - real) / 2, "scan": real / 2, "warp": real / 2}


def change_of(kind: str) -> Augmentation:
    return GENTLE if FOLDERS[kind] == "virtual" else Augmentation()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--real", type=float, default=0.5, help="share of each batch from real scans and their warps")
    parser.add_argument("--start", type=Path, help="a model that this one goes on from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stop-at", type=int, help="leave at this step, to go on with --resume")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args(arguments)

    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    learned_from = {kind: found for kind, found in cohorts(given.cache).items() if shares(given.real)[kind] > 0}
    sources = [Source(found, shares(given.real)[kind], change_of(kind)) for kind, found in learned_from.items()]
    held_out = Cohort(given.cache / "unseen_virtual", ["virtual"])
    network = LiftingNetwork(LiftingConfig())
    if given.start is not None:
        read_part(given.start, "lifting", network)
    objective = LiftingObjective(network, sources, held_out)
    if given.start is None and not given.resume:
        objective.prepare()
    loop = LoopConfig(
        given.steps, given.batch, given.rate, warm_up=100, log_every=50, check_every=200, optimizer="muon"
    )
    fit(objective, loop, Machine(seed=given.seed), given.out, given.resume, given.stop_at)
    notes = {
        "start": None if given.start is None else given.start.name,
        "scans": learned_from["scan"].names if "scan" in learned_from else [],
        "virtual_patients": sum(len(found) for kind, found in learned_from.items() if FOLDERS[kind] == "virtual"),
        "recipe": dataclasses.asdict(loop) | {"shares": shares(given.real), "seed": given.seed},
    }
    write_part(given.out, "lifting", objective.average, notes)


if __name__ == "__main__":
    main()
