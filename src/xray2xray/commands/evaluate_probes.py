from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .registry import as_function
from .run_folder import run_folder

if TYPE_CHECKING:
    from ..evaluation.probes import ProbesResult


@dataclass(frozen=True)
class Options:
    """Measure what a linear probe reads from the features: AUROC against the same probe on V alone and on pixels.

    Virtual patients with planted findings, none of them used to train the model. Writes probes.json, probes.md, and
    probes.npz with the fitted probes; beside a model's config.json (probes.json and probes.npz) they enter the reports
    of virtual patients. This shows whether planted factors can be recovered, never clinical performance.

    Attributes:
        out: the output folder.
        n_train: virtual patients to fit the probes on (seeds from 500,000).
        n_test: virtual patients to test them on (seeds from 1,000,000).
        source: the model: tiny, or a folder that `train` made.
        store: a view store that keeps the rendered frontals, so that they need not be made again.
        seed: offset of the patients' seeds.
        device: auto, cpu, or cuda (gpu is the same).
        workers: processes that render (default: one for each core).
        overwrite: empty the output folder of an earlier run first.
    """

    out: str | Path
    n_train: int = 500
    n_test: int = 250
    source: str | Path = "tiny"
    store: str | Path | None = None
    seed: int = 0
    device: str = "auto"
    workers: int | None = None
    overwrite: bool = False


def run(options: Options) -> "ProbesResult":
    from ..core.device import pick_device
    from ..evaluation.probes import evaluate_probes as evaluate
    from ..reporting.probes import write_probes

    with run_folder(options) as folder:
        result = evaluate(
            options.n_train,
            options.n_test,
            source=options.source,
            seed=options.seed,
            device=pick_device(options.device),
            store=options.store,
            workers=options.workers,
        )
        print(write_probes(folder, result))
    return result


evaluate_probes = as_function(Options, run)
