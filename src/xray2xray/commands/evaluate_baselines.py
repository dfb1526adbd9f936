from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UsageError
from .registry import as_function
from .run_folder import output_file


@dataclass(frozen=True)
class Options:
    """Condense a training store into baselines.npz: mean views, and of virtual patients small frontals with seeds.

    Studies that a table gives to validation or test are left out. `train` writes both files of its first store itself.
    With --source also into the model's own folder, as input_statistics.json: the grey values that a radiograph is
    matched to, and V's reconstruction errors, which show whether an input is unlike the training views.

    Attributes:
        views: the view store that the model was trained on.
        out: the file to write.
        source: the folder of the model that was trained on the store.
        device: auto, cpu, or cuda (gpu is the same).
        overwrite: replace the file.
    """

    views: str | Path
    out: str | Path = "baselines.npz"
    source: str | Path | None = None
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class BaselinesResult:
    """`cohort`: whose baselines they are, in words."""

    out: Path
    cohort: str


def run(options: Options) -> BaselinesResult:
    from ..core.device import pick_device
    from ..data.store import ViewStore
    from ..evaluation.baselines import build_baselines

    out = output_file(options, (".npz",))
    store = ViewStore.open(options.views)
    made = build_baselines(store)
    made.save(out)
    if options.source is not None:
        from ..evaluation.ood import measure_inputs
        from ..io.model_folder import folder_of
        from ..models.world_model import WorldModel

        folder = folder_of(options.source)
        if folder != Path(options.source):
            raise UsageError(f"--source {options.source} is a packaged model, whose statistics stay; name a folder")
        model = WorldModel.from_pretrained(folder, device=pick_device(options.device))
        measure_inputs(store, model).save(folder)
    print(f"baselines of {made.cohort} in {out} ({out.stat().st_size / 2**20:.1f} MiB)")
    return BaselinesResult(out, made.cohort)


evaluate_baselines = as_function(Options, run)
