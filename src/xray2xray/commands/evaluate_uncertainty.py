from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .options import Form, Inputs, as_paths, at_least
from .registry import as_function
from .run_folder import list_failures, run_folder

if TYPE_CHECKING:
    from ..evaluation.uncertainty import UncertaintyResult


@dataclass(frozen=True)
class Options:
    """Measure whether samples from one frontal are calibrated for what it leaves open.

    Samples of every patient are scored at eight angles: CRPS, PIT, and coverage of their intervals beside width, by
    tissue, and of anatomy measured on the views; energy score and consistency of whole chests; and counterfactual
    pairs, which differ by a lesion that the frontal shows or cannot show. Writes uncertainty.json, uncertainty.md and
    pictures. A scan that cannot be used is named, listed in failed.csv and left out; the exit code is 1 only if all
    fail.

    Attributes:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM; a folder of NIfTI files means each of them.
        out: the output folder.
        procedural: how many procedural patients to evaluate besides, from seed 1,000,000.
        counterfactual_pairs: how many pairs of each kind to make, without and with a lesion, from seed 1,000,000.
        samples: how many chests to draw of each patient, at least 39.
        calibration: how many procedural patients, from seed 500,000, give the normal baseline its spread.
        source: the model: tiny, or a folder that `train` made.
        form: the form of M, which must have a sampler: volumetric, direct, autoregressive, or auto, the first that the
            model has.
        seed: offset of the procedural patients' seeds, and seed of samples, noise and bootstrap.
        device: auto, cpu, or cuda (gpu is the same).
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several.
        pictures: how many cases of each kind to draw.
        overwrite: empty the output folder of an earlier run first.
    """

    inputs: Inputs = ()
    _: KW_ONLY
    out: str | Path
    procedural: int = 0
    counterfactual_pairs: int = 0
    samples: int = 40
    calibration: int = 40
    source: str | Path = "tiny"
    form: Form = "auto"
    seed: int = 0
    device: str = "auto"
    series: str | None = None
    pictures: int = 2
    overwrite: bool = False


def run(options: Options) -> "UncertaintyResult":
    from ..core.device import pick_device
    from ..evaluation.uncertainty import evaluate_uncertainty as evaluate
    from ..io.files import FAILED
    from ..reporting.uncertainty import write_uncertainty

    pairs = options.counterfactual_pairs
    at_least(0, procedural=options.procedural, counterfactual_pairs=pairs, calibration=options.calibration)
    at_least(0, seed=options.seed, pictures=options.pictures)
    with run_folder(options) as folder:
        result = evaluate(
            as_paths(options.inputs),
            options.procedural,
            samples=options.samples,
            calibration=options.calibration,
            pairs=pairs,
            source=options.source,
            form=options.form,
            seed=options.seed,
            device=pick_device(options.device),
            series=options.series,
            pictures=options.pictures,
        )
        list_failures(folder / FAILED, result.failed)
        print(write_uncertainty(folder, result))
    return result


evaluate_uncertainty = as_function(Options, run)
