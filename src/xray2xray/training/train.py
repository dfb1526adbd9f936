"""Training from a view store to a pretrained folder: V, then the forms of M on V's cached latents, and their samplers.

In the output folder:

    vision/ direct/ sampler/ autoregressive/   metrics.jsonl, pictures/, checkpoint.pt of each stage
    latents/                          V's latents and tokens of every view
    model/                            the result, for `WorldModel.from_pretrained`
"""

import logging
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from ..core.errors import InputError, UsageError
from ..io.files import write_text
from ..io.model_folder import folder_of, read_config, read_part, sha256, with_tuples, write_part
from ..models.transitions.registry import PARTS
from .checkpoint import CHECKPOINT
from .loop import fit
from .patients import keep_patients
from .presets import Preset, objective_of, preset, read_recipe, with_steps
from .sources import read_studies
from .stage_data import StageData
from .steps import Machine

RECIPE = "recipe.yaml"
logger = logging.getLogger(__name__)


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
) -> Path:
    """Train a world model and return the folder that `WorldModel.from_pretrained` takes (out/model).

    Args:
        views: view stores whose studies hold the standard arc; studies are held out from the first.
        out: a folder of ours or a new one; later stages find the earlier ones' results there.
        stage: all, vision (V), a form of M (direct, autoregressive), or sampler (of the direct form).
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

    Raises:
        InputError: a store is empty or of another size, or a checkpoint or the weights to start from cannot be used.
        UsageError: an unknown stage or preset, unfitting shares, or a stage was trained before and `resume` was not
            asked for.
        TrainingStopped: all predictions became the same, or a loss is not finite.
    """
    if stage not in ("all", *PARTS):
        raise UsageError(f"there is no stage {stage!r}; choose all, {', '.join(PARTS)}")
    if isinstance(recipe, str | Path):
        recipe = read_recipe(recipe)
    chosen = with_steps(recipe or preset(preset_name), steps)
    wanted = tuple(chosen.stages) if stage == "all" else (stage,)
    out = Path(out)
    for name in wanted:
        if (out / name / CHECKPOINT).exists() and not resume:
            raise UsageError(f"{out / name} was trained before; pass --resume to go on, or choose another --out")
    stores = [views] if isinstance(views, str | Path) else views
    studies = read_studies(stores, shares, chosen.vision.size, chosen.held_out, limit)
    if not (out / RECIPE).exists():  # a folder of ours from now on; every stage keeps its own beside its checkpoint
        _save_recipe(out, chosen, seed)
    machine = Machine(device=device, precision=precision, seed=seed)
    notes: dict[str, Any] = {
        "preset": chosen.name,
        "seed": seed,
        "patients": len(studies.views),
        "cohort": studies.cohort,
    }
    keep_patients(out / "model", studies.real_patients, start)
    if start is not None:
        notes["start"] = str(start)
        if "vision" not in wanted and not (out / "model" / "vision.safetensors").is_file():
            taken = PARTS["vision"].network(chosen.vision)
            if not _start_from(start, taken, "vision"):
                raise InputError(f"{start} holds no V of this preset's size; start from another model or from none")
            write_part(out / "model", "vision", taken, notes)
    for name in wanted:
        goes_on = resume and (out / name / CHECKPOINT).exists()
        if not goes_on:  # a run that goes on is held to the recipe in its checkpoint
            _save_recipe(out / name, chosen, seed)
        torch.manual_seed(seed)  # the weights a stage starts from; its batches have their own generators
        _train_stage(name, StageData(studies, chosen, out, machine.device), machine, goes_on, start, notes)
    return out / "model"


def _train_stage(
    name: str, data: StageData, machine: Machine, resume: bool, start: str | Path | None, notes: dict[str, Any]
) -> None:
    part, settings, model = PARTS[name], data.recipe.stages[name], data.out / "model"
    if part.after is not None:
        _ = data.latents  # V comes first: were it built later, a seed would give the network other weights
    network = part.network(settings.network)
    started = _start_from(start, network, name)
    objective = objective_of(name).build(network, data, settings.training)
    if not resume:
        objective.prepare(started)
    fit(objective, settings.loop, machine, data.out / name, resume)
    objective.finish()
    if part.after not in (None, "vision"):
        notes = notes | {f"{name}_of": sha256(model / f"{part.after}.safetensors")}
    write_part(model, name, objective.result, notes)


def _start_from(start: str | Path | None, network: nn.Module, part: str) -> bool:
    """Give the network the weights of `start`, if it holds such a part; where it does not, log why."""
    if start is None:
        return False
    folder = folder_of(start)
    config: Any = network.config
    # Settings that a model of an earlier version does not know have their defaults.
    theirs, ours = read_config(folder).get(part), asdict(config)
    theirs = None if theirs is None else {**_defaults(config), **with_tuples(theirs)}
    if theirs != ours:
        other = [] if theirs is None else sorted(key for key in theirs if theirs[key] != ours.get(key))
        reason = f"that of {start} differs in {', '.join(other)}" if other else f"{start} holds none"
        logger.warning("%s: begins from random weights, %s", part, reason)
        return False
    read_part(folder, part, network)
    return True


def _defaults(config: Any) -> dict[str, Any]:
    return {field.name: field.default for field in fields(config) if field.default is not MISSING}


def _save_recipe(out: Path, chosen: Preset, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / RECIPE, yaml.safe_dump(_plain(chosen.settings()) | {"seed": seed}, sort_keys=False))


def _plain(value: Any) -> Any:
    """Settings as YAML writes them: mappings, lists, numbers and words."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
