from dataclasses import dataclass
from pathlib import Path

from .registry import as_function
from .run_folder import output_file


@dataclass(frozen=True)
class Options:
    """Condense a training store into baselines.npz: mean views, small frontals with seeds, grey values, V's errors.

    The file is what the packaged baselines are, and what a radiograph's grey values are matched to.

    Attributes:
        views: the view store of procedural patients that the model was trained on.
        out: the file to write.
        source: the model whose reconstruction errors give the out-of-distribution quantiles; without it the file has
            none.
        device: auto, cpu or cuda.
        overwrite: replace the file.
    """

    views: str | Path
    out: str | Path = "baselines.npz"
    source: str | Path | None = None
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class BaselinesResult:
    out: Path
    patients: int


def run(options: Options) -> BaselinesResult:
    import numpy as np

    from ..core.device import pick_device
    from ..data.store import ViewStore
    from ..evaluation.baselines import build_baselines, seeds_of
    from ..evaluation.ood import reconstruction_error
    from ..parallel.progress import progress

    out = output_file(options, (".npz",))
    store = ViewStore.open(options.views)
    seeds, errors = seeds_of(store), []
    if options.source is not None:
        from ..models.world_model import WorldModel

        model = WorldModel.from_pretrained(options.source, device=pick_device(options.device))
        for study in progress(store.studies(), "reconstructing"):
            stored = store.read(study)
            frontal = stored.views_p[[abs(float(yaw)) < 1e-3 for yaw in stored.yaw_deg]]
            errors.extend(reconstruction_error(frontal, model.reconstruct_views(frontal)).tolist())
    quantiles = np.quantile(errors, np.linspace(0, 1, 101)) if errors else ()
    build_baselines(store, seeds, out, quantiles)
    print(f"baselines of {len(seeds)} patients in {out} ({out.stat().st_size / 2**20:.1f} MiB)")
    return BaselinesResult(out, len(seeds))


evaluate_baselines = as_function(Options, run)
