from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .options import Inputs, as_paths, at_least
from .registry import as_function
from .run_folder import list_failures, run_folder

if TYPE_CHECKING:
    from ..evaluation.views import ViewsResult


@dataclass(frozen=True)
class Options:
    """Compare predicted views with the truth and with every baseline, on real CTs and unseen virtual patients.

    One view of each is the input and all others are predicted from it. Writes views.json, views.md, the error at each
    angle (views.png) and pictures of the first cases. The primary contrast is that of the first model. Sharpness
    (spectra, correlation with the true detail, edges, bones, a two-sample test) stands in tables of its own. A scan
    that cannot be used is named, listed in failed.csv and left out; the exit code is 1 only if all fail.

    Attributes:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM; a folder of NIfTI files means each of them. Or a table
            that `cohort` wrote, of which the test split is evaluated.
        out: the output folder.
        procedural: how many procedural patients to evaluate besides, from seed 1,000,000.
        train: the view stores that teach the baselines: those of the model; ridge_pca and kernel_ridge need them.
        source: the model: tiny, or a folder that `train` made.
        models: forms of M to evaluate (default: all that the model has); with +mirrored behind its name a form predicts
            from the mirror image, too, and takes the mean.
        samples: how many samples to draw of each case with every form that can; they have rows of their own.
        input_yaw_deg: the angle of the input view.
        seed: offset of the procedural patients' seeds, and seed of the bootstrap.
        device: auto, cpu or cuda.
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several.
        remove_couch: replace couch, cushions and sheets by air first, of virtual patients, too: a radiograph has none.
        pictures: how many cases of each kind to draw.
        overwrite: empty the output folder of an earlier run first.
    """

    inputs: Inputs = ()
    _: KW_ONLY
    out: str | Path
    procedural: int = 0
    train: str | Path | Sequence[str | Path] | None = None
    source: str | Path = "tiny"
    models: Sequence[str] = ()
    samples: int = 0
    input_yaw_deg: float = 0.0
    seed: int = 0
    device: str = "auto"
    series: str | None = None
    remove_couch: bool = False
    pictures: int = 4
    overwrite: bool = False


def run(options: Options) -> "ViewsResult":
    from ..core.device import pick_device
    from ..evaluation.views import evaluate_views as evaluate
    from ..io.files import FAILED
    from ..reporting.views import write_views

    at_least(0, procedural=options.procedural, seed=options.seed, pictures=options.pictures, samples=options.samples)
    with run_folder(options) as folder:
        result = evaluate(
            as_paths(options.inputs),
            options.procedural,
            options.train,
            models=options.models,
            samples=options.samples,
            input_yaw_deg=options.input_yaw_deg,
            source=options.source,
            seed=options.seed,
            device=pick_device(options.device),
            series=options.series,
            remove_couch=options.remove_couch,
            pictures=options.pictures,
        )
        list_failures(folder / FAILED, result.failed)
        print(write_views(folder, result))
    return result


evaluate_views = as_function(Options, run)
