"""Training from a view store to a pretrained folder: V, then either form of M on V's cached latents.

`python -m xray2xray.training.train STORE --out DIR` does all stages of the `tiny` preset. In DIR:

    vision/ direct/ autoregressive/   metrics.jsonl, pictures/, checkpoint.pt of each stage
    latents/                          what V makes of every view
    model/                            the result, for `WorldModel.from_pretrained`
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from ..errors import InputError, UsageError
from ..files import atomic_path
from ..pretrained import PARTS, read_config, read_part, sha256, write_part
from ..transition.autoregressive import AutoregressiveTransition
from ..transition.direct import DirectTransition
from ..vision.vqgan import VisionModel
from .autoregressive import AutoregressiveObjective
from .cache import cached_latents
from .checkpoint import CHECKPOINT
from .direct import DirectObjective
from .loop import Machine, fit
from .presets import Preset, preset, with_steps
from .studies import held_out_at_the_end, read_studies
from .vision import VisionObjective

STAGES = PARTS
RECIPE = "recipe.yaml"


def train(
    views: str | Path,
    out: str | Path,
    stage: str = "all",
    preset_name: str = "tiny",
    steps: int | None = None,
    resume: bool = False,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "auto",
    limit: int | None = None,
    recipe: Preset | None = None,
) -> Path:
    """Train a world model and return the folder that `WorldModel.from_pretrained` takes (out/model).

    Args:
        views: a view store whose studies hold the standard arc.
        out: a folder of ours or a new one; later stages find the earlier ones' results there.
        stage: all, vision, direct or autoregressive.
        preset_name: tiny, small, base or large.
        steps: of each stage, instead of the preset's.
        resume: go on where an interrupted run stopped; finished stages are skipped.
        seed: of the weights and of the batches.
        device, precision: as Lightning Fabric names them; `auto` takes bfloat16 where it is faster here.
        limit: use the first studies only.
        recipe: a whole preset, instead of `preset_name`.

    Raises:
        InputError: the store is empty or of another size, or a checkpoint cannot be used.
        UsageError: an unknown stage or preset, or a stage was trained before and `resume` was not asked for.
        TrainingStopped: a collapse was noticed.
    """
    if stage not in ("all", *STAGES):
        raise UsageError(f"there is no stage {stage!r}; choose all, {', '.join(STAGES)}")
    wanted = STAGES if stage == "all" else (stage,)
    chosen = with_steps(recipe or preset(preset_name), steps)
    out = Path(out)
    for name in wanted:
        if (out / name / CHECKPOINT).exists() and not resume:
            raise UsageError(f"{out / name} was trained before; pass --resume to go on, or choose another --out")
    stored, groups, key = read_studies(views, chosen.vision.size, f"the preset {chosen.name}", limit)
    held_out = held_out_at_the_end(groups, chosen.held_out)
    _save_recipe(out, chosen, seed)
    machine = Machine(device=device, precision=precision, seed=seed)
    notes: dict[str, Any] = {"preset": chosen.name, "seed": seed, "patients": len(stored)}
    for name in wanted:
        goes_on = resume and (out / name / CHECKPOINT).exists()
        torch.manual_seed(seed)  # the weights a stage starts from; its batches have their own generators
        if name == "vision":
            _train_vision(stored, held_out, chosen, machine, out, goes_on, notes)
        else:
            _train_transition(name, stored, held_out, key, chosen, machine, out, goes_on, notes)
    return out / "model"


def _train_vision(
    stored: np.ndarray,
    held_out: int,
    chosen: Preset,
    machine: Machine,
    out: Path,
    resume: bool,
    notes: dict[str, Any],
) -> None:
    learned = stored[: len(stored) - held_out]
    looked_at = stored[-held_out:] if held_out else learned
    flat = looked_at.reshape(-1, *looked_at.shape[2:])
    seen = flat[np.linspace(0, len(flat) - 1, min(chosen.held_out_views, len(flat))).astype(int)]
    model = VisionModel(chosen.vision)
    objective = VisionObjective(model, learned.reshape(-1, *learned.shape[2:]), seen, chosen.vision_losses)
    fit(objective, chosen.vision_loop, machine, out / "vision", resume)
    write_part(out / "model", "vision", model, notes)


def _train_transition(
    name: str,
    stored: np.ndarray,
    held_out: int,
    key: str,
    chosen: Preset,
    machine: Machine,
    out: Path,
    resume: bool,
    notes: dict[str, Any],
) -> None:
    if not (out / "model" / "vision.safetensors").is_file():
        raise InputError(f"{out / 'model'} holds no trained V; train the stage vision to the same --out first")
    # V as it will be used: read back from float16, so that M learns the latents it will meet.
    vision = VisionModel(chosen.vision)
    read_part(out / "model", "vision", vision)
    vision.to(machine.device).eval()
    key = f"{sha256(out / 'model' / 'vision.safetensors')} {key}"
    latents, tokens = cached_latents(out / "latents", key, vision, stored)
    objective: DirectObjective | AutoregressiveObjective
    if name == "direct":
        direct, loop = DirectTransition(chosen.direct), chosen.direct_loop
        objective = DirectObjective(direct, vision, latents, stored, held_out, chosen.direct_training)
    else:
        gpt, loop = AutoregressiveTransition(chosen.autoregressive), chosen.autoregressive_loop
        objective = AutoregressiveObjective(gpt, vision, tokens, stored, held_out, chosen.autoregressive_training)
    if not resume:
        objective.prepare()
    fit(objective, loop, machine, out / name, resume)
    write_part(out / "model", name, objective.average, notes)


def _save_recipe(out: Path, chosen: Preset, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / RECIPE) as temporary:
        temporary.write_text(yaml.safe_dump(_plain(asdict(chosen)) | {"seed": seed}, sort_keys=False), encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m xray2xray.training.train", description="Train a world model.")
    parser.add_argument("views", help="a view store (see `xray2xray render`)")
    parser.add_argument("--out", required=True)
    parser.add_argument("--stage", default="all", choices=("all", *STAGES))
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, help="of each stage, instead of the preset's")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", help="auto, 32-true or bf16-mixed")
    parser.add_argument("--limit", type=int, help="use the first studies only")
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
        )
    except (InputError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"parts of the model in {folder}: {', '.join(name for name in PARTS if name in read_config(folder))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
