from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from .options import Form, Inputs, View, as_paths, at_least
from .registry import as_function
from .run_folder import check_inputs, keep_config, output_file


@dataclass(frozen=True)
class Options:
    """Say in JSON what a radiograph is and shows: view, quality, likeness to training views, anatomy, assumptions.

    Of one radiograph an object, of several a list. `quality` is the gate's answer: a frontal chest or not, upright,
    mirrored, PA or AP, cut off, inverted, clipped. `anatomy` is measured on the given view (cardiothoracic ratio) and
    on imagined ones (AP diameter, lung area from the side), each with a 95 % interval where one is known. There is no
    pathology and no risk in it: the probes have learned from virtual patients. Of a picture that the gate refuses
    there is no anatomy. An input that cannot be read has the key `problem` instead.

    Attributes:
        inputs: frontal chest radiographs (PNG, JPEG, TIFF, WebP, DICOM), folders of them, or CSV tables with a column
            image or path.
        out: a file to write, .json (default: the JSON is printed).
        form: the form of M that imagines: volumetric, direct, autoregressive, or auto, the first that the model has.
        source: the model: tiny, or a folder that `train` made.
        view: how radiographs were taken: pa, ap, or auto (a table or a DICOM header says; else PA is assumed).
        samples: possible chests that the intervals are made of.
        force: measure anatomy in a picture that the gate refuses, too.
        device: auto, cpu, or cuda (gpu is the same).
        overwrite: replace the file.
    """

    inputs: Inputs
    out: str | Path | None = None
    form: Form = "auto"
    source: str | Path = "tiny"
    view: View = "auto"
    samples: int = 20
    force: bool = False
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class PredictResult:
    """`studies`: the object of each radiograph, in order; `failed`: what was wrong with the others, by path."""

    out: Path | None
    studies: list[dict[str, Any]]
    failed: dict[str, str]


def run(options: Options) -> PredictResult:
    import json

    from ..data.inputs import list_inputs
    from ..io.files import write_json
    from ..parallel.usable import each
    from ..session.prediction import prediction
    from ..session.session import Session

    at_least(2, samples=options.samples)
    out = None if options.out is None else output_file(options, (".json",))  # type: ignore[arg-type]
    paths = as_paths(options.inputs)
    check_inputs(paths, batch=True)
    inputs = list_inputs(paths)
    if not inputs:
        raise UsageError("no input file given")
    session = Session.open(options.source, options.form, options.device)
    done, failed = each(
        inputs,
        lambda item: prediction(session, item, options.view, options.samples, options.force),
        lambda item: str(item.path),
    )
    problems = [{"input": path, "problem": why} for path, why in failed.items()]
    told: Any = done[0] if len(inputs) == 1 else [*done, *problems]
    if out is None:
        print(json.dumps(told, indent=1, allow_nan=False))
    else:
        write_json(out, told)
        keep_config(out, options)  # type: ignore[arg-type]
        print(f"{len(done)} radiographs in {out}")
    return PredictResult(out, done, failed)


predict = as_function(Options, run)
