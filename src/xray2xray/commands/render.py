from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

from ..core.errors import InputError, UsageError
from .options import Inputs, as_paths, at_least
from .registry import as_function
from .run_folder import CONFIG, check_inputs, write_config


@dataclass(frozen=True)
class Options:
    """Render chest CTs, or procedural patients, into a view store.

    A store is a folder with one file a study. A second call with the same folder goes on where the first one stopped
    and passes over the studies that are there. A scan that cannot be read is listed in failed.csv and the rest goes on;
    the exit code is 1 only if no scan could be used.

    Attributes:
        inputs: chest CTs: NIfTI, NRRD or MetaImage files, folders or zips of DICOM; a folder of NIfTI files means each
            of them.
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

    from ..data.inputs import scans, study_names
    from ..data.rendering import Job, procedural_study, render_jobs
    from ..data.store import ViewStore
    from ..projection.geometry import STANDARD_ARC, preset

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
    jobs = [job(study, str(path), series=options.series) for study, path in study_names(scans(paths)).items()]
    names = {seed: procedural_study(seed) for seed in range(options.seed, options.seed + options.procedural)}
    jobs += [job(name, name, seed=seed, uncut=options.uncut) for seed, name in names.items()]

    store = ViewStore.create(out, preset(options.geometry, options.size), options.overwrite, not options.overwrite)
    write_config(out / CONFIG, replace(options, overwrite=False))
    there = sum(job.study in store for job in jobs)
    if there:
        print(f"{there} of {len(jobs)} studies are in {out} already")
    failed = render_jobs(store, jobs, options.yaw_deg or STANDARD_ARC, options.workers)
    if len(failed) == len(jobs):
        only, *others = dict.fromkeys(failed.values())
        raise InputError(only if not others else f"none of the {len(jobs)} scans could be used")
    print(f"{len(jobs) - len(failed)} studies in {out}" + (f", {len(failed)} left out (failed.csv)" if failed else ""))
    return RenderResult(out, len(store), failed)


render = as_function(Options, run)
