from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UsageError
from .options import Inputs, View, as_paths
from .registry import as_function
from .run_folder import list_failed, run_folder


@dataclass(frozen=True)
class Options:
    """Bring radiographs into the simulated domain: they then look like the views that the model was trained on.

    The lungs are put where simulated frontals have them, grey values on the scale of line integrals, and a network (the
    generator of a CycleGAN) does the rest. Writes for each radiograph an .npz with `input_p` and `adapted_p` (line
    integrals) and a picture of both. The result is uncalibrated, and a network can erase or invent a finding:
    docs/results/adaptation.md says how often. An input that cannot be used is named, listed in failed.csv and left
    out; the exit code is 1 only if all fail.

    Attributes:
        inputs: frontal radiographs (PNG, JPEG, TIFF, WebP, DICOM), folders of them, or CSV tables with a column image
            or path.
        out: the output folder.
        adapter: cyclegan (packaged), or a folder that `python -m xray2xray.experiments.adaptation.train` made.
        view: how radiographs were taken: pa, ap, or auto (a table or a DICOM header says; else PA is assumed).
        device: auto, cpu, or cuda (gpu is the same).
        overwrite: empty the output folder of an earlier run first.
    """

    inputs: Inputs
    out: str | Path
    adapter: str | Path
    view: View = "auto"
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class AdaptResult:
    """`studies`: names of the files written; `failed`: what was wrong with the inputs left out, by path."""

    out: Path
    studies: list[str]
    failed: dict[str, str]


def run(options: Options) -> AdaptResult:
    import numpy as np

    from ..core.device import pick_device
    from ..data.inputs import Input, check_file_names, list_inputs
    from ..io.files import FAILED, write_npz
    from ..models.adaptation import Adapter
    from ..parallel.usable import each
    from ..radiograph.display import save_png, to_gray
    from ..session.study import adapted

    with run_folder(options) as folder:
        inputs = list_inputs(as_paths(options.inputs))
        if not inputs:
            raise UsageError("no input file given")
        check_file_names(inputs)
        network = Adapter.from_pretrained(options.adapter, pick_device(options.device))

        def one(item: Input) -> str:
            made, name = adapted(item, network, options.view), item.study
            write_npz(folder / f"{name}.npz", {"input_p": made.input_p, "adapted_p": made.adapted_p})
            save_png(folder / f"{name}.png", np.concatenate([to_gray(made.input_p), to_gray(made.adapted_p)], axis=1))
            print(f"{name}: {'; '.join(made.notes)}", flush=True)
            return name

        done, failed = each(inputs, one, lambda item: str(item.path))
        list_failed(folder / FAILED, inputs, failed)
    print(f"{len(done)} radiographs in {folder}")
    return AdaptResult(folder, done, failed)


adapt = as_function(Options, run)
