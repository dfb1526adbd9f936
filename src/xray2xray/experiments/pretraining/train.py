"""Self-supervised pre-training of an encoder from a view store."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ...core.device import pick_device
from ...core.errors import InputError, UsageError
from ...io.files import check_place
from ...io.model_folder import folder_of, read_config, read_part, sha256, with_tuples
from ...models.vision.vqgan import VisionConfig, VisionModel
from ...training.cache import cached_latents
from ...training.checkpoint import CHECKPOINT
from ...training.loop import fit
from ...training.sources import read_studies
from ...training.steps import Machine
from ..budget import evenly, plan
from .encoder_file import write_encoder
from .networks.contrastive import ContrastiveNetwork
from .networks.dino import DINOConfig, SelfDistillation
from .networks.igpt import ImageGPT, ImageGPTConfig
from .networks.mae import MAEConfig, MaskedAutoencoder
from .objectives.contrastive import ContrastiveObjective
from .objectives.dino import DINOObjective, DINOTraining
from .objectives.igpt import ImageGPTObjective
from .objectives.mae import MAEObjective
from .objectives.objective import PretrainingObjective
from .recipes import Recipe, recipe


def pretrain(
    views: str | Path,
    method: str,
    out: str | Path,
    size: str = "tiny",
    steps: int | None = None,
    seconds: float | None = None,
    resume: bool = False,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "auto",
    limit: int | None = None,
    source: str | Path = "tiny",
    latents: str | Path | None = None,
    chosen: Recipe | None = None,
) -> Path:
    """Train an encoder without labels and return its folder (out/encoder), for `load_encoder`.

    Args:
        views: a view store whose studies hold the standard arc.
        method, size: as `recipe` has them.
        out: a new folder, or that of the run to resume.
        steps, seconds: the budget, instead of the recipe's own steps: one of them.
        resume: go on exactly where an interrupted run stopped.
        seed: of the weights and of the batches.
        device, precision: as `Machine`.
        limit: use the first studies only.
        source: the model whose V writes igpt's tokens: `tiny`, or a folder that training made.
        latents: folder of V's cached latents, such as latents/ of the run that trained V; out/latents by default.
        chosen: a whole recipe, instead of the one of `method` and `size`.

    Raises:
        InputError: the store cannot be used, or the checkpoint is another recipe's or damaged.
        UsageError: no such method or size, two budgets, or a folder that holds a run.
        TrainingStopped: a collapse was noticed.
    """
    chosen = chosen or recipe(method, size)
    if steps is not None and seconds is not None:
        raise UsageError("one budget is enough: steps or seconds")
    if min(1 if steps is None else steps, 1 if seconds is None else seconds) <= 0:
        raise UsageError("a budget must be more than 0")
    out, machine = Path(out), Machine(pick_device(device), precision, seed)
    goes_on = resume and (out / CHECKPOINT).exists()
    if (out / CHECKPOINT).exists() and not resume:
        raise UsageError(f"{out} holds a run; pass --resume to go on, or choose another --out")
    check_place(out)
    make = _maker(views, chosen, machine, source, Path(latents or out / "latents"), limit)

    def objective() -> PretrainingObjective:
        torch.manual_seed(seed)  # the weights begin alike each time; batches have their own generators
        return make()

    if seconds is None:
        planned = evenly(steps or chosen.loop.steps, chosen.checks)
    else:
        planned = plan(seconds, chosen.checks, objective, chosen.loop_of, machine, out, resume)
    loop = chosen.loop_of(planned)
    trained = objective()
    fit(trained, loop, machine, out, goes_on)
    notes = {"method": method, "size": size, "steps": loop.steps, "batch": loop.batch, "seed": seed}
    write_encoder(out / "encoder", trained.encoder(), notes | {"patients": trained.configuration()["patients"]})
    return out / "encoder"


def _maker(
    views: str | Path, chosen: Recipe, machine: Machine, source: str | Path, latents: Path, limit: int | None
) -> Callable[[], PretrainingObjective]:
    """What makes the objective; the store is read once."""
    model = chosen.model
    if isinstance(model, ImageGPTConfig):
        vision, digest = _read_vision(source)
        studies = read_studies([views], None, vision.config.size, chosen.held_out, limit)
        data = studies.views, studies.patients, studies.held_out
        _, tokens = cached_latents(latents, f"{digest} {studies.key}", vision.to(machine.device), studies.views)
        gpt = replace(model, tokens=vision.config.tokens, codebook_size=vision.config.codebook_size)
        return lambda: ImageGPTObjective(ImageGPT(gpt), vision, tokens, *data)
    studies = read_studies([views], None, model.encoder.picture, chosen.held_out, limit)
    data = studies.views, studies.patients, studies.held_out
    if isinstance(model, MAEConfig):
        mae = model
        return lambda: MAEObjective(MaskedAutoencoder(mae), *data)
    if isinstance(model, DINOConfig):
        dino, training = model, chosen.training or DINOTraining()
        return lambda: DINOObjective(SelfDistillation(dino), *data, training)
    contrastive = model
    return lambda: ContrastiveObjective(ContrastiveNetwork(contrastive), *data)


def _read_vision(source: str | Path) -> tuple[VisionModel, str]:
    """V of a model's folder, and the sha256 of its file."""
    folder = folder_of(source)
    config = read_config(folder)
    if "vision" not in config:
        raise InputError(f"{folder} holds no trained V; train that stage first")
    try:
        vision = VisionModel(VisionConfig(**with_tuples(config["vision"])))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder / 'config.json'} does not describe a model ({error})") from None
    read_part(folder, "vision", vision)
    return vision.eval(), sha256(folder / "vision.safetensors")
