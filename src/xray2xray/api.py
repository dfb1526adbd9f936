"""The verbs. Each is a function here and a command of the same name with the same keywords (see `cli`).

Nothing heavy is imported before a verb needs it, so that `xray2xray --help` answers at once. Every verb writes into
`out`, keeps its settings there in `config.yaml`, and refuses a folder that is not empty unless `overwrite` is given.

Raises:
    InputError: an input cannot be used; the message says which, why, and what to do (exit code 1).
    UsageError: the request is wrong or refused (exit code 2).
"""

import csv
import json as json_
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import InputError, UsageError
from .files import atomic_path, progress
from .runs import as_paths, check_inputs, run_folder, say, write_config

Inputs = str | Path | Sequence[str | Path]
FIRST_TEST_SEED = 1_000_000  # training seeds stay below


def info(json: bool = False) -> dict[str, Any]:
    """Show versions, the device, and whether the packaged weights are whole.

    Args:
        json: machine-readable output.
    """
    from .about import about, as_text

    facts = about()
    say(json_.dumps(facts, indent=1) if json else as_text(facts))
    return facts


def phantom(
    out: str | Path,
    count: int = 1,
    seed: int = 0,
    size: int = 128,
    truth: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Make procedural patients: CT volumes as NIfTI, and a table of what is wrong with them.

    Writes one thorax-SEED.nii.gz a patient and cohort.csv, which holds the seed and the six labels of each. The same
    seed is the same patient on every machine; seeds from 1,000,000 are never used for training.

    Args:
        out: the output folder.
        count: how many patients.
        seed: the first patient's seed; the others follow it.
        size: voxels along each edge of the cube of 384 mm.
        truth: also write the tissue of every voxel, thorax-SEED_tissue.nii.gz, and tissues.csv with their names.
        overwrite: empty the output folder of an earlier run first.
    """
    options = dict(locals())
    from .rendering import procedural_study
    from .volume import thorax
    from .volume.nifti import write_nifti
    from .volume.volume import Volume

    _at_least(1, count=count)
    _at_least(0, seed=seed)
    _at_least(32, size=size)
    with run_folder(out, overwrite, "phantom", options) as folder:
        rows = []
        for one in progress(range(seed, seed + count), "making patients", count):
            name = procedural_study(one)
            volume, tissue = thorax.make_volume(thorax.sample_patient(one), size)
            write_nifti(folder / f"{name}.nii.gz", volume)
            if truth:
                write_nifti(folder / f"{name}_tissue.nii.gz", Volume(tissue, volume.affine, name))
            rows.append({"study": name, "volume": f"{name}.nii.gz", "seed": one, **thorax.patient_labels(one)})
        _write_table(folder / "cohort.csv", rows)
        if truth:
            _write_table(folder / "tissues.csv", [{"value": i, "name": name} for i, name in enumerate(thorax.TISSUES)])
    say(f"{count} procedural patient{'s' if count > 1 else ''} in {folder}")
    return {"out": str(folder), "studies": [row["study"] for row in rows]}


def render(
    out: str | Path,
    inputs: Inputs | None = None,
    procedural: int = 0,
    seed: int = 0,
    geometry: str = "chest",
    size: int = 128,
    yaw_deg: list[float] | None = None,
    series: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Render chest CTs, or procedural patients, into a view store.

    A store is a folder with one file a study. A second call with the same folder goes on where the first one stopped
    and passes over the studies that are there. A scan that cannot be read is listed in failed.csv and the rest goes on;
    the exit code is 1 only if no scan could be used.

    Args:
        inputs: chest CTs: NIfTI files, folders or zips of DICOM.
        out: the view store.
        procedural: how many procedural patients to render besides.
        seed: the first procedural patient's seed; the others follow it.
        geometry: how the views are taken: chest, portable_ap, xwin, x2ct or parallel.
        size: pixels along each side of a view.
        yaw_deg: angles in degrees (default: the standard arc, -90 to 90 in steps of 5).
        series: SeriesInstanceUID, where a DICOM folder holds several.
        workers: processes (default: one for each core).
        overwrite: begin anew instead of going on.
    """
    options = dict(locals())
    from .data.store import ViewStore
    from .inputs import study_names
    from .projection.geometry import STANDARD_ARC, preset
    from .rendering import Job, procedural_study, render_jobs

    paths = as_paths(inputs)
    _at_least(0, procedural=procedural, seed=seed)
    _at_least(8, size=size)
    if not paths and not procedural:
        raise UsageError("nothing to render: name chest CTs or ask for --procedural N patients")
    check_inputs(paths, out)
    jobs = [Job(study, str(path), series=series) for study, path in study_names(paths).items()]
    jobs += [Job(name, name, seed=one) for one in range(seed, seed + procedural) for name in [procedural_study(one)]]

    store = ViewStore.create(out, preset(geometry, size), overwrite, resume=not overwrite)
    write_config(store.folder / "config.yaml", "render", {**options, "inputs": paths, "overwrite": False})
    there = sum(job.study in store for job in jobs)
    if there:
        say(f"{there} of {len(jobs)} studies are in {out} already")
    failed = render_jobs(store, jobs, yaw_deg or STANDARD_ARC, workers or os.cpu_count() or 1)
    if len(failed) == len(jobs):
        raise InputError(next(iter(failed.values())) if len(jobs) == 1 else f"none of the {len(jobs)} scans could be used")
    say(f"{len(jobs) - len(failed)} studies in {out}" + (f", {len(failed)} left out (failed.csv)" if failed else ""))
    return {"out": str(out), "studies": len(store), "failed": failed}


def _at_least(least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < least:
            raise UsageError(f"--{name.replace('_', '-')} is {number}; it must be at least {least}")


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
