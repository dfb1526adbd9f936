from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.errors import InputError
from .options import Form, Inputs, View, as_paths
from .registry import as_function
from .run_folder import check_inputs, keep_config, output_file

BATCH = 4  # views that go through the networks at once: with more, caches overflow and a view takes longer


@dataclass(frozen=True)
class Options:
    """Turn radiographs or CTs into one feature vector each, for probes and tables.

    The vectors are keyed by study: arrays `study` (n,) and `features` (n, d) in an .npz, or a column for each feature
    in a .csv. An input that cannot be used is named, listed in NAME.failed.csv beside `out` and left out;
    the exit code is 1 only if all fail. An interrupted run goes on when the same command is given again.

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
        overwrite: replace the file, and begin an interrupted run anew.
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
    from itertools import islice

    import numpy as np
    import torch

    from ..data.inputs import list_inputs
    from ..io.files import FAILED, write_failed
    from ..io.model_folder import folder_of, read_config
    from ..parallel.progress import progress
    from ..parallel.usable import usable
    from ..session.embedding import Frontal, GrowingTable, frontals_of, named_once
    from ..session.session import Session

    out, kind, paths = output_file(options, (".npz", ".csv")), options.kind, as_paths(options.inputs)
    check_inputs(paths, batch=True)
    session = Session.open(options.source, options.form, options.device, options.adapter)
    model, failed, inputs = session.model, dict[str, str](), list_inputs(paths)
    # on CPUs 8 % faster, in small batches
    model.transition.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = {"kind": kind, "source": str(options.source), "form": model.config.form, "depth": options.depth}
    given = {"inputs": [str(path) for path in paths], "adapter": options.adapter and str(options.adapter)}
    weights = {"sha256": read_config(folder_of(options.source)).get("sha256", {})}
    table = GrowingTable(out, settings | given | weights | {"view": options.view}, options.overwrite)
    frontals = [one for some in usable(inputs, frontals_of, failed, lambda item: str(item.path)) for one in some]
    named_once(frontals)
    there = set(table.studies)
    waiting = [one for one in frontals if one.study not in there]
    if there:
        print(f"{len(there)} of {len(frontals)} studies are in {out}.partial already")

    def read(one: Frontal) -> tuple[str, np.ndarray]:
        return one.read(session, options.series, options.view)

    views = progress(usable(waiting, read, failed, lambda one: str(one.path)), "embedding", len(waiting))
    while some := list(islice(views, BATCH)):
        names, views_p = zip(*some, strict=True)
        table.append(names, model.features(np.stack(views_p), kind, depth=options.depth))
    if not table.studies:
        only, *others = dict.fromkeys(failed.values()) or ["the inputs hold no study"]
        raise InputError(f"none of the {len(inputs)} inputs could be used; each is named above" if others else only)
    names_of = {str(item.path): item.study for item in inputs} | {str(one.path): one.study for one in frontals}
    rows = [{"study": names_of[where], "input": where, "problem": why} for where, why in failed.items()]
    write_failed(out.with_name(f"{out.stem}.{FAILED}"), rows)
    width = table.finish()
    keep_config(out, options)
    print(f"{len(table.studies)} studies, {width} {kind} features each, in {out}")
    return EmbedResult(out, table.studies, failed)


embed = as_function(Options, run)
