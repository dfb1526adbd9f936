from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .options import Inputs, as_paths, at_least, one_of
from .registry import as_function
from .run_folder import list_failures, run_folder

if TYPE_CHECKING:
    from ..evaluation.volume_table import VolumeResult
    from ..volume.volume import Volume


@dataclass(frozen=True)
class Options:
    """Compare volumes from one view, or from a frontal and a lateral, with the truth and with every baseline.

    The views are those of real CTs and of unseen virtual patients. Baselines: the mean volume of the training cohort,
    its nearest case, the mean's depth distribution along the measured rays, back-projection, and OS-SART from the given
    views. Writes volume.json, volume.md and pictures of the first cases; with --save also the volumes as NIfTI.
    A scan that cannot be used is named, listed in failed.csv and left out; the exit code is 1 only if all fail.

    Attributes:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM; a folder of NIfTI files means each of them. Or a table
            that `cohort` wrote, of which the test split is evaluated.
        out: the output folder.
        given: the views that are given: frontal, or frontal+lateral (the left one). A form that cannot take them is
            listed with the reason.
        procedural: how many procedural patients to evaluate besides, from seed 1,000,000.
        train: a view store of training patients, virtual or real, for mean volume and nearest case; by default the
            virtual patients of the baselines file beside the model.
        labels: a folder of NIfTI label maps, on any grid, called as the scan or NAME_labels; with them the table has
            the error in HU inside each organ.
        organs: names of the labels 1, 2, and so on, such as oesophagus heart trachea aorta.
        size: voxels along each edge of the cube of 384 mm.
        samples: how many volumes to draw from each form that can be sampled; 39 and more show 95 % intervals.
        save: write the volume of each form in the coordinates of the scan, and with samples their mean and SD.
        source: the model: tiny, or a folder that `train` made.
        models: forms of M to evaluate (default: all that the model has); the first is compared with all else.
        seed: offset of the procedural patients' seeds, and seed of samples and bootstrap.
        device: auto, cpu or cuda.
        series: SeriesInstanceUID, where a DICOM folder holds several.
        remove_couch: replace couch, cushions and sheets by air first, of virtual patients, too: a radiograph has none.
        pictures: how many cases of each kind to draw.
        overwrite: empty the output folder of an earlier run first.
    """

    inputs: Inputs = ()
    _: KW_ONLY
    out: str | Path
    given: Literal["frontal", "frontal+lateral"] = "frontal"
    procedural: int = 0
    train: str | Path | None = None
    labels: str | Path | None = None
    organs: Sequence[str] = ()
    size: int = 128
    samples: int = 0
    save: bool = False
    source: str | Path = "tiny"
    models: Sequence[str] = ()
    seed: int = 0
    device: str = "auto"
    series: str | None = None
    remove_couch: bool = False
    pictures: int = 4
    overwrite: bool = False


def run(options: Options) -> "VolumeResult":
    from ..core.device import pick_device
    from ..evaluation.volume_table import GIVEN, evaluate_volume
    from ..io.files import FAILED
    from ..reporting.volume import write_volume
    from ..volume.nifti import write_nifti

    one_of(GIVEN, given=options.given)
    at_least(0, procedural=options.procedural, seed=options.seed, pictures=options.pictures, samples=options.samples)
    at_least(16, size=options.size)
    with run_folder(options) as folder:

        def keep(name: str, volume: "Volume") -> None:
            (folder / "volumes").mkdir(exist_ok=True)
            write_nifti(folder / "volumes" / f"{name}.nii.gz", volume, "predicted by xray2xray, not a CT")

        result = evaluate_volume(
            as_paths(options.inputs),
            options.procedural,
            options.train,
            given=options.given,
            models=options.models,
            size=options.size,
            samples=options.samples,
            labels=options.labels,
            organs=options.organs,
            source=options.source,
            seed=options.seed,
            device=pick_device(options.device),
            series=options.series,
            remove_couch=options.remove_couch,
            pictures=options.pictures,
            keep=keep if options.save else None,
        )
        list_failures(folder / FAILED, result.failed)
        print(write_volume(folder, result))
    return result


evaluate_volume = as_function(Options, run)
