from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .cases import CaseOptions, of_cases
from .options import Inputs, as_paths, at_least, one_of
from .registry import as_function
from .run_folder import list_failures, run_folder

if TYPE_CHECKING:
    from ..evaluation.volume_table import VolumeResult
    from ..volume.volume import Volume


@dataclass(frozen=True, kw_only=True)
class Options(CaseOptions):
    """Compare volumes from one view, or from a frontal and a lateral, with the truth and with every baseline.

    The views are those of real CTs and of unseen virtual patients. Baselines: the mean volume of the training cohort,
    its nearest case, the mean's depth distribution along the measured rays, back-projection, and OS-SART from the given
    views. Writes volume.json, volume.md and pictures of the first cases; with --save also the volumes as NIfTI.
    A scan that cannot be used is named, listed in failed.csv and left out; the exit code is 1 only if all fail.

    Attributes:
        given: the views that are given: frontal, or frontal+lateral (the left one). A form that cannot take them is
            listed with the reason.
        train: a view store of training patients, virtual or real, for mean volume and nearest case; by default the
            virtual patients of the baselines file beside the model.
        labels: a folder of NIfTI label maps, on any grid, called as the scan or NAME_labels; with them the table has
            the error in HU inside each organ.
        organs: names of the labels 1, 2, and so on, such as oesophagus heart trachea aorta. Those that are named are
            looked for in each volume by labelled scans of other patients, and compared with the labels.
        atlases: the labelled scans by which they are found (default: the inputs, but for the case itself).
        size: voxels along each edge of the cube of 384 mm.
        samples: how many volumes to draw from each form that can be sampled; 39 and more show 95 % intervals.
        save: write the volume of each form in the coordinates of the scan, and with samples their mean and SD.
        models: forms of M to evaluate (default: all that the model has); the first is compared with all else.
    """

    given: Literal["frontal", "frontal+lateral"] = "frontal"
    train: str | Path | None = None
    labels: str | Path | None = None
    organs: Sequence[str] = ()
    atlases: Inputs = ()
    size: int = 128
    samples: int = 0
    save: bool = False
    models: Sequence[str] = ()


def run(options: Options) -> "VolumeResult":
    from ..evaluation.volume_table import GIVEN, evaluate_volume
    from ..io.files import FAILED
    from ..reporting.volume import write_volume
    from ..volume.nifti import write_nifti

    one_of(GIVEN, given=options.given)
    at_least(0, samples=options.samples)
    at_least(16, size=options.size)
    cases = of_cases(options)
    with run_folder(options) as folder:

        def keep(name: str, volume: "Volume") -> None:
            (folder / "volumes").mkdir(exist_ok=True)
            write_nifti(folder / "volumes" / f"{name}.nii.gz", volume, "predicted by xray2xray, not a CT")

        result = evaluate_volume(
            train=options.train,
            given=options.given,
            models=options.models,
            size=options.size,
            samples=options.samples,
            labels=options.labels,
            organs=options.organs,
            atlases=as_paths(options.atlases),
            keep=keep if options.save else None,
            **cases,
        )
        list_failures(folder / FAILED, result.failed)
        print(write_volume(folder, result))
    return result


evaluate_volume = as_function(Options, run)
