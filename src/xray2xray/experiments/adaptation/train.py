"""Training an adapter: one half of some real radiographs against the rendered frontals of a view store.

    python -m xray2xray.experiments.adaptation.train IMAGES --views STORE --out DIR

DIR gets adaptation/ (metrics.jsonl, pictures/, checkpoint.pt) and model/, which `--adapter` of the verbs takes. The
other half of the patients is never opened, so that it can tell how good the adapter is (`python -m
xray2xray.experiments.adaptation`).
"""

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from ...core.errors import InputError, UsageError
from ...data.groups import TRAIN
from ...data.radiographs import Half, RadiographFile, half_of, list_radiographs
from ...data.store import ViewStore
from ...io.model_folder import write_part
from ...models.adaptation.adapter import PART
from ...models.adaptation.generator import AdapterConfig
from ...parallel.progress import progress
from ...parallel.usable import each
from ...projection.geometry import STANDARD_ARC
from ...radiograph.lung_field import normalise_radiograph
from ...radiograph.read import read_radiograph
from ...training.checkpoint import CHECKPOINT
from ...training.loop import fit
from ...training.steps import LoopConfig, Machine
from ..command import command, parser
from .objective import AdaptationLosses, AdaptationObjective

# Zhu et al.'s 0.5 for the first moment: with more, generator and critic overrun each other.
LOOP = LoopConfig(steps=2500, batch=2, rate=1e-3, warm_up=50, weight_decay=0.0, betas=(0.5, 0.99), check_every=250)
FEWEST = 10
MOST_RENDERED = 1000


def train_adapter(
    images: Iterable[str | Path],
    views: str | Path,
    out: str | Path,
    half: Half | None = "first",
    steps: int | None = None,
    resume: bool = False,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "auto",
    config: AdapterConfig | None = None,
    losses: AdaptationLosses | None = None,
) -> Path:
    """Train an adapter and return the folder that `Adapter.from_pretrained` takes (out/model).

    Args:
        images: folders, files or CSV tables of frontal radiographs (`list_radiographs`), whose validation and test
            rows are left out.
        views: a view store with frontals; its size is the adapter's.
        out: a folder of ours or a new one.
        half: which half of the patients is learned from, dealt by `seed`; None takes all.
        steps: instead of the recipe's.
        resume: go on where an interrupted run stopped.
        seed: of the halves, the weights and the batches.
        device, precision: as Lightning Fabric names them; `auto` takes bfloat16 where it is faster here.

    Raises:
        InputError: too few radiographs, a store without frontals, or a checkpoint that cannot be used.
        UsageError: steps below 1, or trained before and `resume` was not asked for.
        TrainingStopped: the anatomy was being lost.
    """
    out = Path(out)
    if steps is not None and steps < 1:
        raise UsageError(f"--steps must be at least 1, got {steps}")
    if (out / AdaptationObjective.stage / CHECKPOINT).exists() and not resume:
        raise UsageError(f"{out} was trained before; pass --resume to go on, or choose another --out")
    rendered = rendered_frontals(ViewStore.open(views))
    size = rendered.shape[-1]
    files = [
        file
        for file in list_radiographs(images)
        if file.part == TRAIN and (half is None or half_of(file.patient, seed) == half)
    ]
    patients = sorted({file.patient for file in files})
    if len(files) < FEWEST:
        raise InputError(f"{len(files)} radiographs to learn from; give {FEWEST} at least, better some hundreds")
    real, held_out = read_normalised(by_patient(files, seed), size)
    config = config or AdapterConfig(size=size)
    if config.size != size:
        raise InputError(f"{views} holds views of {size} px, the adapter wants {config.size}")
    torch.manual_seed(seed)
    objective = AdaptationObjective(config, real, rendered, losses, held_out)
    loop = replace(LOOP, steps=steps, warm_up=min(LOOP.warm_up, max(1, steps // 10))) if steps else LOOP
    machine = Machine(device=device, precision=precision, seed=seed)
    fit(objective, loop, machine, out / objective.stage, resume)
    notes = {
        "half": half or "all",
        "seed": seed,
        "radiographs": len(real),
        "patients": len(patients),
        "patients_sha256": hashlib.sha256("\n".join(patients).encode()).hexdigest(),  # names may say who they are
        "rendered": len(rendered),
        "steps": loop.steps,
    }
    write_part(out / "model", PART, objective.average, {"adaptation": notes})
    return out / "model"


def by_patient(files: Sequence[RadiographFile], seed: int) -> list[RadiographFile]:
    """In a random order of the patients, as they come in the order of their cohorts and the last are held out."""
    patients = sorted({file.patient for file in files})
    place = dict(zip(patients, np.random.default_rng(seed).permutation(len(patients)).tolist(), strict=True))
    return sorted(files, key=lambda file: place[file.patient])


def read_normalised(files: Sequence[RadiographFile], size: int) -> tuple[np.ndarray, int]:
    """Radiographs on the networks' frame and scale, float32 (n, size, size) p, and how many of the last are held out.

    What cannot be read, or shows no lungs where they were looked for, is named and left out. Held out is a tenth, and
    what else belongs to the first of its patients.

    Raises:
        InputError: none can be used, or all are of one patient.
    """

    def one(file: RadiographFile) -> tuple[np.ndarray, str]:
        view_p, field = normalise_radiograph(read_radiograph(file.path, 2 * size).gray, size)
        if not field.certain:
            raise InputError(f"{file.path}: hardly any lungs were found (likeness {field.likeness:.2f})")
        return view_p, file.patient

    read, _ = each(list(progress(files, "radiographs")), one, lambda file: str(file.path))
    views, patients = zip(*read, strict=True)
    first = len(views) - len(views) // 10
    while 0 < first < len(views) and patients[first - 1] == patients[first]:
        first -= 1
    if first == 0:
        raise InputError(f"all {len(views)} radiographs are of one patient; the held-out ones must be of others")
    return np.stack(views), len(views) - first


def rendered_frontals(store: ViewStore) -> np.ndarray:
    """The stored frontals of a store's first training studies, uint16 (n, size, size).

    Raises:
        InputError: there are none.
    """
    studies = store.training_studies()[:MOST_RENDERED]
    if not studies:
        raise InputError(f"{store.folder} holds no training studies; render some with `xray2xray render`")
    frontal = STANDARD_ARC.index(0.0)
    return np.stack([store.read_standard([study])[0, frontal] for study in progress(studies, "frontals")])


def main(words: Sequence[str] | None = None) -> None:
    made = parser("adaptation.train", __doc__)
    made.add_argument("images", nargs="+", help="folders, files or CSV tables of frontal radiographs")
    made.add_argument("--views", required=True, help="a view store (see `xray2xray render`)")
    made.add_argument("--out", required=True)
    made.add_argument("--half", default="first", choices=(*get_args(Half), "all"), help="of the patients")
    made.add_argument("--steps", type=int, help="instead of the recipe's")
    made.add_argument("--resume", action="store_true")
    made.add_argument("--seed", type=int, default=0, help="of the halves, the weights and the batches")
    made.add_argument("--device", default="cpu")
    made.add_argument("--precision", default="auto", help="auto, 32-true or bf16-mixed")
    folder = command(made, run, words)
    print(f"the adapter is in {folder}; use it with --adapter {folder}")


def run(options: argparse.Namespace) -> Path:
    half = None if options.half == "all" else options.half
    return train_adapter(**{**vars(options), "half": half})


if __name__ == "__main__":
    main()
