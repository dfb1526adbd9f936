from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.errors import InputError
from .options import Form, Inputs, View, as_paths
from .registry import as_function
from .run_folder import check_inputs, keep_config, list_failed, output_file


@dataclass(frozen=True)
class Options:
    """Turn radiographs or CTs into one feature vector each, for probes and tables.

    The vectors are keyed by study: arrays `study` (n,) and `features` (n, d) in an .npz, or a column for each feature
    in a .csv. An input that cannot be used is named, listed in NAME.failed.csv beside `out` and left out;
    the exit code is 1 only if all fail.

    Attributes:
        inputs: radiographs, CTs, view stores, or CSV tables with a column image, path or volume (and study, if wanted).
        out: the file to write, .npz or .csv.
        kind: vision (V's latents of the view itself), hidden (the transition's hidden-state features) or volumetric
            (both).
        source: the model: tiny, or a folder that `train` made.
        view: how radiographs were taken: pa, ap, or auto (a table or a DICOM header says; else PA is assumed).
        adapter: bring radiographs into the simulated domain with it: cyclegan, or a folder that
            `python -m xray2xray.experiments.adaptation.train` made.
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several.
        device: auto, cpu, or cuda (gpu is the same).
        form: the form of M whose hidden states are read: volumetric, direct, autoregressive (both directions,
            slower), or auto, the first that the model has.
        depth: after how many blocks of M they are read (default: all).
        overwrite: replace the file.
    """

    inputs: Inputs
    out: str | Path
    kind: Literal["volumetric", "vision", "hidden"] = "volumetric"
    source: str | Path = "tiny"
    view: View = "auto"
    adapter: str | Path | None = None
    series: str | None = None
    device: str = "auto"
    form: Form = "auto"
    depth: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class EmbedResult:
    """`studies`: the rows of the table, by name; `failed`: what was wrong with the inputs left out, by path."""

    out: Path
    studies: list[str]
    failed: dict[str, str]


def run(options: Options) -> EmbedResult:
    from ..data.inputs import list_inputs
    from ..io.files import FAILED
    from ..parallel.progress import progress
    from ..parallel.usable import each
    from ..session.embedding import frontals, write_features
    from ..session.session import Session

    out, kind, paths = output_file(options, (".npz", ".csv")), options.kind, as_paths(options.inputs)
    check_inputs(paths, batch=True)
    session = Session.open(options.source, options.form, options.device, options.adapter)
    inputs = list_inputs(paths)
    read, failed = each(
        inputs, lambda item: frontals(item, session, options.series, options.view), lambda item: str(item.path)
    )
    views = [pair for pairs in read for pair in pairs]
    if not views:
        raise InputError("the inputs hold no study")
    model, depth = session.model, options.depth
    features = [model.features(view_p[None], kind, depth=depth)[0] for _, view_p in progress(views, "embedding")]
    names = [name for name, _ in views]
    settings = {"kind": kind, "source": str(options.source), "form": model.config.form, "depth": depth}
    write_features(out, names, features, settings)
    list_failed(out.with_name(f"{out.stem}.{FAILED}"), inputs, failed)
    keep_config(out, options)
    print(f"{len(names)} studies, {len(features[0])} {kind} features each, in {out}")
    return EmbedResult(out, names, failed)


embed = as_function(Options, run)
