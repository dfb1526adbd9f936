"""Rendering many studies into a view store, on many processes, so that an interrupted run can go on."""

import csv
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError
from ..core.seeds import FIRST_PROBE_SEED
from ..io.files import atomic_path, progress
from ..parallel.executor import on_processes
from .groups import SOURCE_CT
from .store import ViewStore

if TYPE_CHECKING:
    from ..experiments.warps.warp import Outline
    from ..volume.volume import Volume

FAILED = "failed.csv"


@dataclass(frozen=True)
class Job:
    """One study to render: a scan on disk, a procedural patient by its seed, or a scan warped to that one's shape."""

    study: str
    source: str
    seed: int | None = None
    series: str | None = None
    volume_size: int = 128
    remove_couch: bool = False
    warped_from: str | None = None  # the study of the scan itself


def procedural_study(seed: int) -> str:
    """The name under which the procedural patient of a seed is stored, so that the seed can be told from the name."""
    return f"thorax-{seed:07d}"


def warp_job(job: Job, number: int) -> Job:
    """A scan's warped copy. Its shape follows from its name: no two copies of any scans share one.

    The shapes are those of patients that world models are trained on: none of a test.
    """
    study = f"{job.study}-warp-{number:04d}"
    return replace(job, study=study, seed=zlib.crc32(study.encode()) % FIRST_PROBE_SEED, warped_from=job.study)


def render_jobs(store: ViewStore, jobs: Sequence[Job], yaw_deg: Sequence[float], workers: int) -> dict[str, str]:
    """Render the jobs that the store does not hold yet.

    Args:
        store: where the views go; every study is written whole or not at all.
        jobs: what to render; studies already in the store are passed over.
        yaw_deg: the angles.
        workers: processes.

    Returns:
        what was wrong with the studies that failed, by name; they are also listed in `failed.csv` in the store.
    """
    waiting = [job for job in jobs if job.study not in store]
    failed: dict[str, str] = {}
    work = partial(render_job, store, tuple(yaw_deg))
    for job, problem in progress(on_processes(work, waiting, workers), "rendering", len(waiting)):
        if problem:
            said_before = problem in failed.values()  # of the same scan, for another of its warps
            failed[job.study] = problem
            if len(jobs) > 1 and not said_before:  # the only one is the caller's to report
                said = problem if problem.startswith(job.source) else f"{job.study}: {problem}"
                print(f"xray2xray: left out {said}", file=sys.stderr, flush=True)
    _list_failed(store.folder / FAILED, jobs, failed)
    return failed


def render_job(store: ViewStore, yaw_deg: tuple[float, ...], job: Job) -> str | None:
    """Render one study into the store; returns what was wrong with its input, None if it went well."""
    from ..projection.render import render

    try:
        volume, labels = _volume_of(job)
        views_p = render(volume, store.geometry, yaw_deg, threads=1)
    except InputError as error:
        return str(error)
    except MemoryError:
        return f"{job.source}: not enough memory; use fewer --workers"
    except Exception as error:  # a damaged file can fail in any library, and the cohort must not
        return f"{job.source}: {type(error).__name__}: {' '.join(str(error).split())}"
    store.write(job.study, views_p, yaw_deg, labels)
    return None


def _volume_of(job: Job) -> tuple["Volume", dict[str, Any]]:
    """What a job renders, and its labels."""
    from ..volume.couch import remove_couch

    labels: dict[str, Any]
    if job.warped_from is not None:
        from ..experiments.warps.warp import patient_outline, warp

        assert job.seed is not None
        volume, source = _bare_scan(job.source, job.series)
        labels = {SOURCE_CT: job.warped_from, "warp_seed": job.seed, "remove_couch": True}
        return warp(volume, source, patient_outline(job.seed), job.seed), labels
    if job.seed is None:
        from ..volume.read import read_volume

        volume, labels = read_volume(job.source, job.series), {}
    else:
        from .. import phantoms

        volume = phantoms.patient_volume(job.seed, job.volume_size)
        labels = {"seed": job.seed, **phantoms.patient_labels(job.seed)}
    if job.remove_couch:
        volume, labels = remove_couch(volume), {**labels, "remove_couch": True}
    return volume, labels


@lru_cache(maxsize=1)
def _bare_scan(path: str, series: str | None) -> tuple["Volume", "Outline"]:
    """A scan without its couch, and its outline; kept for the next of its warps."""
    from ..experiments.warps.warp import outline
    from ..volume.couch import remove_couch
    from ..volume.read import read_volume

    volume = remove_couch(read_volume(path, series))
    return volume, outline(volume)


def _list_failed(path: Path, jobs: Sequence[Job], failed: dict[str, str]) -> None:
    if not failed:
        path.unlink(missing_ok=True)
        return
    sources = {job.study: job.source for job in jobs}
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["study", "input", "problem"])
        table.writerows([study, sources[study], problem] for study, problem in sorted(failed.items()))
