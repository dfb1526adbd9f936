"""Training from a view store to a pretrained folder: V, then either form of M on V's cached latents, and a sampler.

`python -m xray2xray.training.train STORE --out DIR` does all stages of the `tiny` preset. In DIR:

    vision/ direct/ sampler/ autoregressive/   metrics.jsonl, pictures/, checkpoint.pt of each stage
    latents/                          what V makes of every view
    model/                            the result, for `WorldModel.from_pretrained`
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import yaml
from torch import nn

from ..core.errors import InputError, UsageError
from ..io.files import write_text
from ..io.model_folder import PARTS, SAMPLER_OF, folder_of, read_config, read_part, sha256, with_tuples, write_part
from ..models.transitions.autoregressive import AutoregressiveTransition
from ..models.transitions.direct import DirectTransition
from ..models.transitions.sampler import DirectSampler
from ..models.vision.vqgan import VisionModel
from ..projection.geometry import mirror_arc
from .cache import cached_latents
from .checkpoint import CHECKPOINT
from .loop import Machine, fit
from .objectives.autoregressive import AutoregressiveObjective
from .objectives.direct import DirectObjective
from .objectives.sampler import SamplerObjective
from .objectives.vision import VisionObjective
from .presets import Preset, preset, read_recipe, with_steps
from .sources import Studies, read_studies

STAGES = PARTS
RECIPE = "recipe.yaml"


def train(
    views: str | Path | Sequence[str | Path],
    out: str | Path,
    stage: str = "all",
    preset_name: str = "tiny",
    steps: int | None = None,
    resume: bool = False,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "auto",
    limit: int | None = None,
    shares: Sequence[float] | None = None,
    start: str | Path | None = None,
    recipe: Preset | str | Path | None = None,
    appearance: float = 0.0,
) -> Path:
    """Train a world model and return the folder that `WorldModel.from_pretrained` takes (out/model).

    Args:
        views: view stores whose studies hold the standard arc; studies are held out from the first.
        out: a folder of ours or a new one; later stages find the earlier ones' results there.
        stage: all, vision, direct, sampler (of the direct form) or autoregressive.
        preset_name: tiny, small, base or large.
        steps: of each stage, instead of the preset's.
        resume: go on where an interrupted run stopped; finished stages are skipped.
        seed: of the weights and of the batches.
        device, precision: as Lightning Fabric names them; `auto` takes bfloat16 where it is faster here.
        limit: use the first studies of every store only.
        shares: of the draws, a number for each store; by default every study is drawn alike.
        start: a trained model (`tiny`, or a folder) whose weights every stage starts from instead of random ones, where
            it holds such a part of the same settings; its V is used where none was trained here.
        recipe: instead of `preset_name`, a whole preset or a file of one (see `read_recipe`).
        appearance: share of the direct form's inputs that get a random appearance (docs/adaptation.md).

    Raises:
        InputError: a store is empty or of another size, or a checkpoint or the weights to start from cannot be used.
        UsageError: an unknown stage or preset, unfitting shares, or a stage was trained before and `resume` was not
            asked for.
        TrainingStopped: a collapse was noticed.
    """
    if stage not in ("all", *STAGES):
        raise UsageError(f"there is no stage {stage!r}; choose all, {', '.join(STAGES)}")
    wanted = STAGES if stage == "all" else (stage,)
    if isinstance(recipe, str | Path):
        recipe = read_recipe(recipe)
    chosen = with_steps(recipe or preset(preset_name), steps)
    if not 0 <= appearance <= 1:
        raise UsageError(f"--appearance is a share from 0 to 1, got {appearance}")
    if appearance:
        chosen = replace(chosen, direct_training=replace(chosen.direct_training, appearance_share=appearance))
    out = Path(out)
    for name in wanted:
        if (out / name / CHECKPOINT).exists() and not resume:
            raise UsageError(f"{out / name} was trained before; pass --resume to go on, or choose another --out")
    stores = [views] if isinstance(views, str | Path) else views
    studies = read_studies(stores, shares, chosen.vision.size, chosen.held_out, limit)
    if not (out / RECIPE).exists():  # a folder of ours from now on; every stage keeps its own beside its checkpoint
        _save_recipe(out, chosen, seed)
    machine = Machine(device=device, precision=precision, seed=seed)
    notes: dict[str, Any] = {"preset": chosen.name, "seed": seed, "patients": len(studies.views)}
    if start is not None:
        notes["start"] = str(start)
        if "vision" not in wanted and not (out / "model" / "vision.safetensors").is_file():
            taken = VisionModel(chosen.vision)
            if not _start_from(start, taken, "vision"):
                raise InputError(f"{start} holds no V of this preset's size; start from another model or from none")
            write_part(out / "model", "vision", taken, notes)
    for name in wanted:
        goes_on = resume and (out / name / CHECKPOINT).exists()
        if not goes_on:  # a run that goes on is held to the recipe in its checkpoint
            _save_recipe(out / name, chosen, seed)
        torch.manual_seed(seed)  # the weights a stage starts from; its batches have their own generators
        if name == "vision":
            _train_vision(studies, chosen, machine, out, goes_on, start, notes)
        else:
            _train_transition(name, studies, chosen, machine, out, goes_on, start, notes)
    return out / "model"


def _train_vision(
    studies: Studies,
    chosen: Preset,
    machine: Machine,
    out: Path,
    resume: bool,
    start: str | Path | None,
    notes: dict[str, Any],
) -> None:
    learned = studies.views[: len(studies.weight)]
    looked_at = studies.views[len(learned) :] if studies.held_out else learned
    flat = looked_at.reshape(-1, *looked_at.shape[2:])
    seen = flat[np.linspace(0, len(flat) - 1, min(chosen.held_out_views, len(flat))).astype(int)]
    model = VisionModel(chosen.vision)
    _start_from(start, model, "vision")
    objective = VisionObjective(model, learned, studies.weight, seen, chosen.vision_losses)
    fit(objective, chosen.vision_loop, machine, out / "vision", resume)
    write_part(out / "model", "vision", model, notes)


def _train_transition(
    name: str,
    studies: Studies,
    chosen: Preset,
    machine: Machine,
    out: Path,
    resume: bool,
    start: str | Path | None,
    notes: dict[str, Any],
) -> None:
    vision = VisionModel(chosen.vision)
    _read_trained(out / "model", "vision", vision, "V", machine)
    key = f"{sha256(out / 'model' / 'vision.safetensors')} {studies.key}"
    views, weight = studies.views, studies.weight
    latents, tokens = cached_latents(out / "latents", key, vision, views)
    objective: DirectObjective | SamplerObjective | AutoregressiveObjective
    if name == "sampler":
        sampler, loop = DirectSampler(chosen.sampler), chosen.sampler_loop
        started = _start_from(start, sampler, name)
        mean = DirectTransition(chosen.direct)
        _read_trained(out / "model", "direct", mean, "direct form", machine)
        objective = SamplerObjective(sampler, mean, vision, latents, views, weight, chosen.sampler_training)
        notes = notes | {SAMPLER_OF: sha256(out / "model" / "direct.safetensors")}
    elif name == "direct":
        direct, loop = DirectTransition(chosen.direct), chosen.direct_loop
        started = _start_from(start, direct, name)
        mirrored = None
        if chosen.direct_training.mirrored:
            mirrored, _ = cached_latents(out / "latents" / "mirrored", f"{key} mirrored", vision, mirror_arc(views))
        objective = DirectObjective(direct, vision, latents, views, weight, chosen.direct_training, mirrored)
    else:
        gpt, loop = AutoregressiveTransition(chosen.autoregressive), chosen.autoregressive_loop
        started = _start_from(start, gpt, name)
        objective = AutoregressiveObjective(gpt, vision, tokens, views, weight, chosen.autoregressive_training)
    if not resume and not started:
        objective.prepare()
    fit(objective, loop, machine, out / name, resume)
    if isinstance(objective, SamplerObjective):
        objective.calibrate()
    write_part(out / "model", name, objective.average, notes)


Part = TypeVar("Part", VisionModel, DirectTransition, DirectSampler, AutoregressiveTransition)


def _read_trained(folder: Path, part: str, module: nn.Module, words: str, machine: Machine) -> None:
    """A part as it will be used: read back from float16, so that what is built on it learns what it will meet."""
    if not (folder / f"{part}.safetensors").is_file():
        raise InputError(f"{folder} holds no trained {words}; train the stage {part} to the same --out first")
    read_part(folder, part, module)
    module.to(machine.device).eval()


def _start_from(start: str | Path | None, module: Part, part: str) -> bool:
    """Give the module the weights of `start`, if it holds such a part; where it does not, say so."""
    if start is None:
        return False
    folder = folder_of(start)
    # Settings that a model of an earlier version does not know have their defaults.
    theirs, ours = read_config(folder).get(part), asdict(module.config)
    theirs = None if theirs is None else {**_defaults(module.config), **with_tuples(theirs)}
    if theirs != ours:
        other = [] if theirs is None else sorted(key for key in theirs if theirs[key] != ours.get(key))
        reason = f"that of {start} differs in {', '.join(other)}" if other else f"{start} holds none"
        print(f"{part}: begins from random weights, {reason}", file=sys.stderr)
        return False
    read_part(folder, part, module)
    if isinstance(module, VisionModel):
        module.codebook.forget()
    return True


def _defaults(config: Any) -> dict[str, Any]:
    return {field.name: field.default for field in fields(config) if field.default is not MISSING}


def _save_recipe(out: Path, chosen: Preset, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / RECIPE, yaml.safe_dump(_plain(asdict(chosen)) | {"seed": seed}, sort_keys=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m xray2xray.training.train", description="Train a world model.")
    parser.add_argument("views", nargs="+", help="view stores (see `xray2xray render`)")
    parser.add_argument("--out", required=True)
    parser.add_argument("--stage", default="all", choices=("all", *STAGES))
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--recipe", help="a YAML file of settings, such as an earlier run's recipe.yaml")
    parser.add_argument("--steps", type=int, help="of each stage, instead of the preset's")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", help="auto, 32-true or bf16-mixed")
    parser.add_argument("--limit", type=int, help="use the first studies of every store only")
    parser.add_argument("--shares", type=float, nargs="+", help="of the draws, a number for each store")
    parser.add_argument("--start", help="a trained model whose weights every stage starts from")
    parser.add_argument("--appearance", type=float, default=0.0, help="share of inputs with a random appearance")
    options = parser.parse_args(arguments)
    try:
        folder = train(
            options.views,
            options.out,
            options.stage,
            options.preset,
            options.steps,
            options.resume,
            options.seed,
            options.device,
            options.precision,
            options.limit,
            options.shares,
            options.start,
            options.recipe,
            appearance=options.appearance,
        )
    except (InputError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"parts of the model in {folder}: {', '.join(name for name in PARTS if name in read_config(folder))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
