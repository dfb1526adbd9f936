"""Rendering CTs and warped copies of them into a view store."""

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...core.seeds import FIRST_PROBE_SEED
from ...data.groups import SOURCE_CT
from ...data.inputs import study_names
from ...data.rendering import Job, load_job, render_jobs
from ...data.store import ViewStore
from ...projection.geometry import STANDARD_ARC, preset
from ...volume.couch import remove_couch
from ...volume.read import read_volume
from ...volume.volume import Volume
from .warp import Outline, outline, patient_outline, warp


@dataclass(frozen=True)
class WarpJob(Job):
    """A scan warped to the outline of a virtual patient, whose seed follows from the name of the study.

    No two copies of any scans share an outline. The outlines are those of patients that world models are trained on:
    none of a test.
    """

    warped_from: str = ""  # the study of the scan itself

    @classmethod
    def of(cls, scan: Job, number: int) -> "WarpJob":
        study = f"{scan.study}-warp-{number:04d}"
        seed = zlib.crc32(study.encode()) % FIRST_PROBE_SEED
        return cls(study, scan.source, seed, lifted=scan.lifted, warped_from=scan.study)


def render_warps(
    cts: Sequence[str | Path],
    out: str | Path,
    count: int,
    *,
    size: int = 128,
    geometry: str = "chest",
    yaw_deg: Sequence[float] = STANDARD_ARC,
    remove_couch: bool = False,
    lifted: bool = False,
    workers: int | None = None,
) -> ViewStore:
    """Render every CT and `count` warped copies of it; studies that the store holds already are kept.

    The copies have no couch. Their label source_ct names the CT, and training keeps them on one side with it.

    Args:
        cts: NIfTI files, folders or zips of DICOM.
        out: the view store.
        remove_couch: also from the CTs themselves.
        lifted: also keep the volumes on the grid of the volumetric form.
        workers: processes (default: one for each core).

    Raises:
        InputError: no CT could be used.
    """
    scans = [
        Job(study, str(path), remove_couch=remove_couch, lifted=lifted)
        for study, path in study_names(map(Path, cts)).items()
    ]
    jobs = [job for scan in scans for job in (scan, *(WarpJob.of(scan, n) for n in range(1, count + 1)))]
    store = ViewStore.create(out, preset(geometry, size), overwrite=False, resume=True)
    failed = render_jobs(store, jobs, yaw_deg, workers or os.cpu_count() or 1, load_warp)
    if len(failed) == len(jobs):
        raise InputError("; ".join(dict.fromkeys(failed.values())))
    return store


def load_warp(job: Job) -> tuple[Volume, dict[str, Any]]:
    """The volume of a job and its labels: warped, if it is a `WarpJob`."""
    if not isinstance(job, WarpJob):
        return load_job(job)
    assert job.seed is not None
    volume, source = _without_couch(job.source)
    labels = {SOURCE_CT: job.warped_from, "warp_seed": job.seed, "remove_couch": True}
    return warp(volume, source, patient_outline(job.seed), job.seed), labels


@lru_cache(maxsize=1)
def _without_couch(path: str) -> tuple[Volume, Outline]:
    """A scan without its couch, and its outline; kept for the next of its warps."""
    volume = remove_couch(read_volume(path))
    return volume, outline(volume)
