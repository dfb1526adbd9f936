from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .cases import CaseOptions, of_cases
from .options import at_least
from .registry import as_function
from .run_folder import list_failures, run_folder

if TYPE_CHECKING:
    from ..evaluation.views import ViewsResult


@dataclass(frozen=True, kw_only=True)
class Options(CaseOptions):
    """Compare predicted views with the truth and with every baseline, on real CTs and unseen virtual patients.

    One view of each is the input and all others are predicted from it. Writes views.json, views.md, the error at each
    angle (views.png) and pictures of the first cases. The primary contrast is that of the first model. Sharpness
    (spectra, correlation with the true detail, edges, bones, a two-sample test) stands in tables of its own. A scan
    that cannot be used is named, listed in failed.csv and left out; the exit code is 1 only if all fail.

    Attributes:
        train: the view stores that teach the baselines: those of the model; ridge_pca and kernel_ridge need them.
        models: forms of M to evaluate (default: all that the model has); with +mirrored behind its name a form predicts
            from the mirror image, too, and takes the mean.
        samples: how many samples to draw of each case with every form that can; they have rows of their own.
        input_yaw_deg: the angle of the input view.
    """

    train: str | Path | Sequence[str | Path] | None = None
    models: Sequence[str] = ()
    samples: int = 0
    input_yaw_deg: float = 0.0


def run(options: Options) -> "ViewsResult":
    from ..evaluation.views import evaluate_views as evaluate
    from ..io.files import FAILED
    from ..reporting.views import write_views

    at_least(0, samples=options.samples)
    cases = of_cases(options)
    with run_folder(options) as folder:
        result = evaluate(
            train=options.train,
            models=options.models,
            samples=options.samples,
            input_yaw_deg=options.input_yaw_deg,
            **cases,
        )
        list_failures(folder / FAILED, result.failed)
        print(write_views(folder, result))
    return result


evaluate_views = as_function(Options, run)
