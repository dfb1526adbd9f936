"""What the verbs that evaluate on cases share: which cases, by which model, and into which folder."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from .options import Inputs, as_paths, at_least


@dataclass(frozen=True)
class CaseOptions:
    """The options of such a verb begin with these.

    Attributes:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM; a folder of NIfTI files means each of them. Or a table
            that `cohort` wrote, of which the test split is evaluated.
        out: the output folder.
        procedural: how many procedural patients to evaluate besides, from seed 1,000,000.
        source: the model: tiny, or a folder that `train` made.
        seed: offset of the procedural patients' seeds, and seed of samples, noise and bootstrap.
        device: auto, cpu, or cuda (gpu is the same).
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several.
        remove_couch: replace couch, cushions and sheets by air first, of virtual patients, too: a radiograph has none.
        pictures: how many cases of each kind to draw.
        overwrite: empty the output folder of an earlier run first.
    """

    inputs: Inputs = ()
    _: KW_ONLY
    out: str | Path
    procedural: int = 0
    source: str | Path = "tiny"
    seed: int = 0
    device: str = "auto"
    series: str | None = None
    remove_couch: bool = False
    pictures: int = 4
    overwrite: bool = False


def of_cases(options: CaseOptions) -> dict[str, Any]:
    """The same as arguments of the function that evaluates.

    Raises:
        UsageError: a number below 0, or a device that is not there.
    """
    from ..core.device import pick_device

    at_least(0, procedural=options.procedural, seed=options.seed, pictures=options.pictures)
    given = {
        name: getattr(options, name) for name in ("procedural", "source", "seed", "series", "remove_couch", "pictures")
    }
    return {"ct": as_paths(options.inputs), "device": pick_device(options.device), **given}
