from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .options import Inputs, as_paths, at_least
from .registry import as_function
from .run_folder import list_failures, run_folder

if TYPE_CHECKING:
    from ..evaluation.controls import ControlsResult


@dataclass(frozen=True)
class Options:
    """Measure what predictions owe to the action and to the patient: controls, retrieval, and drift along the arc.

    The same model gets no angle, shuffled angles, the wrong sign or another patient; its predictions are to find the
    patient's true views among those of others; and it predicts from one end of the arc to the other, directly or in
    steps from its own last prediction. Writes controls.json, controls.md, controls.png and alignment.png. A scan that
    cannot be used is named, listed in failed.csv and left out; the exit code is 1 only if all fail.

    Attributes:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM; a folder of NIfTI files means each of them. Or a table
            that `cohort` wrote, of which the test split is evaluated.
        out: the output folder.
        procedural: how many procedural patients to evaluate besides, from seed 1,000,000.
        candidates: how many procedural patients the right one is to be found among, from seed 1,000,000.
        train: the view store the model was trained on; with it ridge_pca takes part in the retrieval.
        source: the model: tiny, or a folder that `train` made.
        models: forms of M to evaluate (default: the first that the model has; those in small steps take much longer).
        seed: offset of the procedural patients' seeds, and seed of the shuffling and of the bootstrap.
        device: auto, cpu, or cuda (gpu is the same).
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several.
        overwrite: empty the output folder of an earlier run first.
    """

    inputs: Inputs = ()
    _: KW_ONLY
    out: str | Path
    procedural: int = 0
    candidates: int = 100
    train: str | Path | None = None
    source: str | Path = "tiny"
    models: Sequence[str] = ()
    seed: int = 0
    device: str = "auto"
    series: str | None = None
    overwrite: bool = False


def run(options: Options) -> "ControlsResult":
    from ..core.device import pick_device
    from ..evaluation.controls import evaluate_controls as evaluate
    from ..evaluation.views import forms_of
    from ..io.files import FAILED
    from ..reporting.controls import write_controls

    at_least(0, procedural=options.procedural, seed=options.seed)
    at_least(2, candidates=options.candidates)
    with run_folder(options) as folder:
        result = evaluate(
            as_paths(options.inputs),
            options.procedural,
            options.train,
            models=options.models or forms_of(options.source)[:1],
            candidates=options.candidates,
            source=options.source,
            seed=options.seed,
            device=pick_device(options.device),
            series=options.series,
        )
        list_failures(folder / FAILED, result.failed)
        print(write_controls(folder, result))
    return result


evaluate_controls = as_function(Options, run)
