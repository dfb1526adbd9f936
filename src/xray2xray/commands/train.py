from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..core.errors import UsageError
from .options import Inputs, as_paths, at_least
from .registry import as_function
from .run_folder import CONFIG, check_inputs, removed_if_empty, write_config


@dataclass(frozen=True)
class Options:
    """Train a world model from a view store: V, the forms of M, a sampler.

    The result is the folder model/ in the output folder, which `--source` of the other verbs takes; beside it every
    stage keeps metrics.jsonl, pictures and a checkpoint. Stages may be trained one by one into the same folder. Of a
    store whose table gives a split, training studies are learned, validation studies looked at, test studies not read.

    Attributes:
        views: view stores made by `render`, with the standard arc of every study; some patients of the first are held
            out and their predictions drawn.
        out: the output folder.
        stage: all, vision (V), volumetric, direct or autoregressive (M), or sampler (of what the
            direct form leaves open).
        preset: the size of the networks and how long they are trained.
        recipe: a YAML file of settings instead, such as configs/tiny-gpu.yaml or an earlier run's recipe.yaml, whose
            seed is not taken (--seed).
        steps: steps of each stage, instead of the preset's.
        limit: use the first studies of every store only.
        shares: of the draws, a number for each store, such as 0.7 0.3; by default every study is drawn alike.
        start: a trained model (tiny, or a folder) whose weights every stage starts from, instead of random ones, where
            it has such a part; its V is used where none was trained here.
        seed: of the weights and of the batches.
        device: auto, cpu, or cuda (gpu is the same).
        precision: auto (bfloat16 where it is faster here), 32-true or bf16-mixed.
        resume: go on exactly where an interrupted run stopped; finished stages are passed over.
        overwrite: empty the output folder of an earlier run first.
    """

    views: Inputs
    out: str | Path
    stage: Literal["all", "vision", "volumetric", "direct", "sampler", "autoregressive"] = "all"
    preset: Literal["tiny", "small", "base", "large"] = "tiny"
    recipe: str | Path | None = None
    steps: int | None = None
    limit: int | None = None
    shares: Sequence[float] | None = None
    start: str | Path | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class TrainResult:
    """`model`: the folder that `--source` takes."""

    out: Path
    model: Path


def run(options: Options) -> TrainResult:
    from ..core.device import pick_device
    from ..data.cohorts.rows import is_table
    from ..data.store import ViewStore
    from ..io.files import check_out, prepare_out
    from ..io.model_folder import folder_of, read_config
    from ..training.presets import read_recipe
    from ..training.train import RECIPE
    from ..training.train import train as train_stages

    if options.resume and options.overwrite:
        raise UsageError("--resume goes on and --overwrite begins anew; choose one of them")
    at_least(1, steps=options.steps, limit=options.limit)
    device, out, stores = pick_device(options.device), Path(options.out), as_paths(options.views)
    check_inputs(stores, out)
    tables = list(filter(is_table, stores))
    if tables:
        raise UsageError(f"{tables[0]}: not a view store; python -m xray2xray.experiments.pairs.train takes a CSV")
    if options.recipe is not None and options.preset != "tiny":
        raise UsageError(f"--recipe says what --preset {options.preset} would; name the preset in {options.recipe}")
    recipe = None if options.recipe is None else read_recipe(options.recipe)
    fresh = options.overwrite or not (out / RECIPE).exists()  # a folder with a recipe takes further stages
    if fresh:
        check_out(out, options.overwrite)
    for path in stores:
        ViewStore.open(path)
    if options.start is not None:
        read_config(folder_of(options.start))
    if fresh:
        prepare_out(out, options.overwrite)
    write_config(out / CONFIG, replace(options, overwrite=False))
    with removed_if_empty(out):
        model = train_stages(
            stores,
            out,
            options.stage,
            options.preset,
            options.steps,
            options.resume,
            options.seed,
            device,
            options.precision,
            options.limit,
            options.shares,
            options.start,
            recipe,
        )
        _keep_cohort(stores[0], Path(model), device)
    print(f"the model is in {model}; use it with --source {model}")
    return TrainResult(out, Path(model))


def _keep_cohort(views: Path, model: Path, device: str) -> None:
    """Write what other verbs compare with into the model's folder, once a form of M is trained: input statistics and
    baselines of the training studies."""
    from ..data.store import ViewStore
    from ..evaluation.baselines import FILE, build_baselines
    from ..evaluation.ood import measure_inputs
    from ..io.model_folder import read_config
    from ..models.transitions.registry import forms
    from ..models.world_model import WorldModel

    trained = [form for form in forms() if form in read_config(model)]
    if trained:
        store = ViewStore.open(views)
        measure_inputs(store, WorldModel.from_pretrained(model, trained[0], device)).save(model)
        build_baselines(store).save(model / FILE)


train = as_function(Options, run)
