from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Literal

from ..core.errors import InputError, UsageError
from .options import Inputs, as_paths, at_least
from .registry import as_function
from .run_folder import CONFIG, check_inputs, write_config


@dataclass(frozen=True)
class Options:
    """Render chest CTs, the studies of a cohort's table, or procedural patients into a view store.

    A store is a folder with one file a study. A second call with the same folder goes on where the first one stopped
    and passes over the studies that are there. A scan that cannot be read is listed in failed.csv and the rest goes on;
    the exit code is 1 only if no scan could be used. Of a table that `cohort` wrote, CTs are rendered without their
    couch, radiographs become the frontal of their study, and the store keeps what the table says: patient, split, age,
    sex, labels, event and time, evidence level.

    Attributes:
        inputs: chest CTs: NIfTI, NRRD or MetaImage files, folders or zips of DICOM; a folder of NIfTI files means each
            of them. Or tables that `cohort` wrote, .csv.
        out: the view store.
        procedural: how many procedural patients to render besides.
        seed: the first procedural patient's seed; the others follow it.
        geometry: how the views are taken: chest, portable_ap, xwin, x2ct or parallel.
        size: pixels along each side of a view.
        yaw_deg: angles in degrees (default: the standard arc, -90 to 90 in steps of 5).
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several.
        remove_couch: replace couch, cushions and sheets by air first. The packaged volumetric
            form was trained without couches, the other forms with.
        uncut: procedural patients as they are built, arms and shoulders and all, not cut to a scan's field of view.
        lifted: also keep each volume on the grid of the volumetric form, which learns from it (1 MB a study at 128
            pixels); without, training reconstructs it from the views.
        preparation: how a radiograph becomes line integrals: quantiles (grey values get the distribution of a model's
            training frontals) or lung_field (the lungs are put where simulated frontals have them, too).
        adapter: bring radiographs into the simulated domain with it instead: cyclegan, or a folder that
            `python -m xray2xray.experiments.adaptation.train` made.
        source: the model whose training frontals quantiles are of: tiny, or a folder that `train` made.
        workers: processes (default: one for each core).
        overwrite: begin anew instead of going on.
    """

    inputs: Inputs = ()
    _: KW_ONLY
    out: str | Path
    procedural: int = 0
    seed: int = 0
    geometry: str = "chest"
    size: int = 128
    yaw_deg: Sequence[float] | None = None
    series: str | None = None
    remove_couch: bool = False
    uncut: bool = False
    lifted: bool = False
    preparation: Literal["quantiles", "lung_field"] = "quantiles"
    adapter: str | Path | None = None
    source: str | Path = "tiny"
    workers: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class RenderResult:
    """`studies`: how many the store holds now; `failed`: what was wrong with those left out, by name."""

    out: Path
    studies: int
    failed: dict[str, str]


def run(options: Options) -> RenderResult:
    from functools import partial

    from ..data.cohorts.rows import is_table
    from ..data.inputs import scans, study_names
    from ..data.rendering import Job, procedural_study, render_jobs
    from ..data.store import ViewStore
    from ..projection.geometry import STANDARD_ARC, preset
    from ..session.cohort_jobs import table_jobs, write_job

    paths, out = as_paths(options.inputs), Path(options.out)
    at_least(0, procedural=options.procedural, seed=options.seed)
    at_least(1, workers=options.workers)
    at_least(8, size=options.size)
    if not paths and not options.procedural:
        raise UsageError("nothing to render: name chest CTs or ask for --procedural N patients")
    check_inputs(paths, out, batch=True)
    if options.lifted and options.size % 16:
        raise UsageError(f"--lifted wants --size to be a multiple of 16, got {options.size}")
    job = partial(Job, remove_couch=options.remove_couch, lifted=options.lifted)
    tables = [path for path in paths if is_table(path) and path.is_file()]
    plain = study_names(scans(path for path in paths if path not in tables))
    jobs = [job(study, str(path), series=options.series) for study, path in plain.items()]
    unused: dict[str, str] = {}
    for table in tables:
        of_table, left_out = table_jobs(table, options.preparation, options.adapter, options.source, options.lifted)
        jobs, unused = [*jobs, *of_table], {**unused, **left_out}
    names = {seed: procedural_study(seed) for seed in range(options.seed, options.seed + options.procedural)}
    jobs += [job(name, name, seed=seed, uncut=options.uncut) for seed, name in names.items()]

    store = ViewStore.create(out, preset(options.geometry, options.size), options.overwrite, not options.overwrite)
    write_config(out / CONFIG, replace(options, overwrite=False))
    there = sum(job.study in store for job in jobs)
    if there:
        print(f"{there} of {len(jobs)} studies are in {out} already")
    yaw_deg = tuple(options.yaw_deg or STANDARD_ARC)
    write = partial(write_job, store, yaw_deg, options.preparation, options.adapter, options.source)
    failed = render_jobs(store, jobs, yaw_deg, options.workers, write=write, unused=unused)
    if len(failed) == len(jobs):
        only, *others = dict.fromkeys(failed.values())
        raise InputError(only if not others else f"none of the {len(jobs)} scans could be used")
    left = len(failed) + len(unused)
    print(f"{len(jobs) - len(failed)} studies in {out}" + (f", {left} left out (failed.csv)" if left else ""))
    return RenderResult(out, len(store), {**unused, **failed})


render = as_function(Options, run)
