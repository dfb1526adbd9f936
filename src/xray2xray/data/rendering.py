"""Rendering many studies into a view store, on many processes, so that an interrupted run can go on."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import UsageError
from ..io.files import FAILED, write_failed
from ..parallel.executor import executor
from ..parallel.progress import progress
from ..parallel.usable import usable
from .store import LiftedStudy, ViewStore

if TYPE_CHECKING:
    from ..projection.geometry import Geometry
    from ..volume.volume import Volume

log = logging.getLogger(__name__)
PREPARATION = "preparation"  # the label that says how a radiograph became a view
_MADE = ("remove_couch",)  # labels that no table gives


@dataclass(frozen=True)
class Job:
    """One study to render: a scan or a radiograph on disk, or a virtual patient by its seed.

    `view`: CT, or how a radiograph was taken. `labels`: what the store keeps of it besides. `uncut`: a virtual patient
    as built, whatever its scan would leave out. `lifted`: keep its volume, too, on the grid of the volumetric form.
    """

    study: str
    source: str
    seed: int | None = None
    series: str | None = None
    volume_size: int = 128
    remove_couch: bool = False
    uncut: bool = False
    lifted: bool = False
    view: str = "CT"
    labels: Mapping[str, Any] = field(default_factory=dict)


Load = Callable[[Any], tuple["Volume", dict[str, Any]]]
"""What a job renders, and its labels; a function of a module, so that processes can be sent it."""


def procedural_study(seed: int) -> str:
    """The name under which the procedural patient of a seed is stored; it holds the seed."""
    return f"thorax-{seed:07d}"


def load_job(job: Job) -> tuple["Volume", dict[str, Any]]:
    """The scan or the virtual patient of a job, and its labels."""
    volume: Volume
    labels: dict[str, Any]
    if job.seed is None:
        from ..volume.read import read_volume

        volume, labels = read_volume(job.source, job.series), dict(job.labels)
    else:
        from .. import phantoms

        volume = phantoms.patient_volume(job.seed, job.volume_size, job.uncut)
        labels = {"seed": job.seed, **phantoms.patient_labels(job.seed)}
    if job.remove_couch:
        from ..volume.couch import remove_couch

        volume, labels = remove_couch(volume), {**labels, "remove_couch": True}
    return volume, labels


def render_jobs(
    store: ViewStore,
    jobs: Sequence[Job],
    yaw_deg: Sequence[float],
    workers: int | None,
    load: Load = load_job,
    write: Callable[[Job], None] | None = None,
    unused: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Render the jobs that the store does not hold yet. Of those that it holds, labels that have changed are changed.

    Args:
        store: where the views go; every study is written whole or not at all.
        jobs: what to render; studies already in the store are passed over, unless a volume is wanted that is not there.
        yaw_deg: the angles.
        workers: processes (None: one for each core).
        load: makes the volume of a job.
        write: does a job, instead of `render_job` with `load`.
        unused: what is no job, and why, to be listed as well.

    Returns:
        what was wrong with the studies that failed, by name; they are also listed in `failed.csv` in the store.
    """
    waiting = [job for job in jobs if job.study not in store or (job.lifted and store.read_lifted(job.study) is None)]
    failed: dict[str, str] = {}
    work = write or partial(render_job, store, tuple(yaw_deg), load)
    _relabel(store, [job for job in jobs if job.labels and job.study in store])
    done = usable(waiting, work, failed, lambda job: job.study, executor(workers, len(waiting)))
    for _ in progress(done, "rendering", len(waiting)):
        pass
    if len(waiting) == 1 < len(jobs):  # `usable` says nothing of an only item, and the others are in the store
        for reason in failed.values():
            log.warning("left out %s", reason)
    sources = {job.study: job.source for job in jobs}
    listed = {**unused, **failed}
    write_failed(
        store.folder / FAILED,
        [{"study": study, "input": sources.get(study, ""), "problem": listed[study]} for study in sorted(listed)],
    )
    return failed


def _relabel(store: ViewStore, jobs: Sequence[Job]) -> None:
    """A table may have changed since its studies were rendered, and an old split beside a new one would leak."""
    for job in jobs:
        there = store.read_labels(job.study)
        if there.get(PREPARATION) != job.labels.get(PREPARATION):
            said = f"{there.get(PREPARATION)}, not {job.labels.get(PREPARATION)}"
            raise UsageError(f"{store.path(job.study)} was prepared by {said}; choose another --out or --overwrite")
        made = {name: there[name] for name in _MADE if name in there}
        if there != {**made, **job.labels}:
            store.relabel(job.study, {**made, **job.labels})


def render_job(store: ViewStore, yaw_deg: tuple[float, ...], load: Load, job: Job) -> None:
    """Render one study into the store."""
    from ..projection.render import render

    volume, labels = load(job)
    lifted = lift(volume, store.geometry) if job.lifted else None
    store.write(job.study, render(volume, store.geometry, yaw_deg, threads=1), yaw_deg, labels, lifted)


def lift(volume: "Volume", geometry: "Geometry") -> LiftedStudy:
    """A scan on the grid of the volumetric form."""
    from ..projection.frustum import Frustum
    from ..projection.lifted import line_integrals, true_portions

    frustum = Frustum(geometry)
    portions = true_portions(volume, frustum.at(geometry.size // 2))
    return LiftedStudy(portions.astype(np.float16), line_integrals(volume, frustum).astype(np.float16))
