from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cases import CaseOptions, of_cases
from .options import Form, at_least
from .registry import as_function
from .run_folder import list_failures, run_folder

if TYPE_CHECKING:
    from ..evaluation.uncertainty import UncertaintyResult


@dataclass(frozen=True, kw_only=True)
class Options(CaseOptions):
    """Measure whether samples from one frontal are calibrated for what it leaves open.

    Samples of every patient are scored at eight angles: CRPS, PIT, and coverage of their intervals beside width, by
    tissue, and of anatomy measured on the views; energy score and consistency of whole chests; and counterfactual
    pairs, which differ by a lesion that the frontal shows or cannot show. Writes uncertainty.json, uncertainty.md and
    pictures. A scan that cannot be used is named, listed in failed.csv and left out; the exit code is 1 only if all
    fail.

    Attributes:
        counterfactual_pairs: how many pairs of each kind to make, without and with a lesion, from seed 1,000,000.
        samples: how many chests to draw of each patient, at least 39.
        calibration: how many procedural patients, from seed 500,000, give the normal baseline its spread.
        form: the form of M, which must have a sampler: volumetric, direct, autoregressive, or auto, the first that the
            model has.
    """

    counterfactual_pairs: int = 0
    samples: int = 40
    calibration: int = 40
    form: Form = "auto"
    pictures: int = 2


def run(options: Options) -> "UncertaintyResult":
    from ..evaluation.uncertainty import evaluate_uncertainty as evaluate
    from ..io.files import FAILED
    from ..reporting.uncertainty import write_uncertainty

    pairs = options.counterfactual_pairs
    at_least(0, counterfactual_pairs=pairs, calibration=options.calibration)
    cases = of_cases(options)
    with run_folder(options) as folder:
        result = evaluate(
            samples=options.samples,
            calibration=options.calibration,
            pairs=pairs,
            form=options.form,
            **cases,
        )
        list_failures(folder / FAILED, result.failed)
        print(write_uncertainty(folder, result))
    return result


evaluate_uncertainty = as_function(Options, run)
