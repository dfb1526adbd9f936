import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.seeds import FIRST_TEST_SEED
from .options import Form, at_least
from .registry import as_function
from .run_folder import run_folder

if TYPE_CHECKING:
    from ..reporting.result import Result

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Predict 37 views and a volume from one chest X-ray of a procedural patient that was in no training set.

    The model is given the frontal view alone. Its other views are predicted and compared with the truth, with the mean
    patient and with the input itself; a volume is reconstructed from the predictions. Needs no data and no network.
    Writes report.html, report.json, views.gif, views.png, views.npz and volume.nii.gz.

    Attributes:
        out: the output folder.
        seed: which patient; seeds below 1,000,000 may have been used for training.
        form: the form of M that predicts: volumetric, direct, autoregressive, or auto, the first that
            the model has.
        source: the model: tiny, or a folder that `train` made.
        device: auto, cpu, or cuda (gpu is the same).
        overwrite: empty the output folder of an earlier run first.
    """

    out: str | Path = "xray2xray-demo"
    seed: int = FIRST_TEST_SEED
    form: Form = "auto"
    source: str | Path = "tiny"
    device: str = "auto"
    overwrite: bool = False


def run(options: Options) -> "Result":
    from ..reporting.report import summary, write_result
    from ..reporting.result import VOLUME_VOXELS
    from ..session.session import Session
    from ..session.study import open_procedural

    at_least(0, seed=options.seed)
    start = time.monotonic()
    with run_folder(options) as folder:
        session = Session.open(options.source, options.form, options.device)
        log.info("making procedural patient %d and one frontal X-ray of it", options.seed)
        study = open_procedural(options.seed, session.geometry)
        log.info("predicting the views from 37 angles, and rendering the true ones to compare")
        result = session.analyse(study, volume_size=VOLUME_VOXELS, settings={"seed": options.seed})
        log.info("reconstructing a volume from the predicted views")
        write_result(folder, result)
    print(f"\n{summary(result)}\n")
    print(f"open {folder / 'report.html'} in a browser ({time.monotonic() - start:.0f} s; all files are in {folder})")
    return result


demo = as_function(Options, run)
