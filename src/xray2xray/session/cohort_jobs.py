"""The studies of a cohort's table as jobs for a view store: CTs without their couch, radiographs as frontals."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from ..core.errors import InputError
from ..core.evidence import FROM_CT, RADIOGRAPH, VIRTUAL
from ..data.cohorts.checks import check_names, check_split
from ..data.cohorts.plain import read_table
from ..data.cohorts.table import Sample
from ..data.groups import EVIDENCE
from ..data.inputs import Input
from ..data.rendering import PREPARATION, Job, load_job, render_job
from ..data.store import ViewStore
from ..models.adaptation import Adapter
from ..models.input_statistics import InputStatistics
from ..radiograph.lung_field import normalise_radiograph
from ..radiograph.read import read_radiograph
from ..volume.nifti import is_virtual_patient
from .study import open_input

Preparation = Literal["quantiles", "lung_field"]


def table_jobs(
    table: Path, preparation: Preparation, adapter: str | Path | None, source: str | Path, lifted: bool
) -> tuple[list[Job], dict[str, str]]:
    """A job for each row that can be used, with all that the table says of it, and what is wrong with the others.

    Raises:
        InputError: no table that `cohort` wrote, or a patient in two splits.
    """
    cohort = read_table(table).frontals()
    check_names(cohort)
    check_split(cohort)
    said = "" if all(sample.view == "CT" for sample in cohort.samples) else prepared_as(preparation, adapter, source)
    return [_job(sample, said, lifted) for sample in cohort.samples], dict(cohort.failed)


def prepared_as(preparation: Preparation, adapter: str | Path | None, source: str | Path) -> str:
    """How radiographs become views, in words that a store keeps with each: two ways in one store would be compared.

    Raises:
        InputError: a model without input statistics.
    """
    if adapter is not None:
        return f"adapter {Path(adapter).resolve().name if Path(adapter).is_dir() else adapter}"
    if preparation == "lung_field":
        return "lung_field"
    return f"quantiles of the frontals of {InputStatistics.load(source).cohort}"


def write_job(
    store: ViewStore,
    yaw_deg: tuple[float, ...],
    preparation: Preparation,
    adapter: str | Path | None,
    source: str | Path,
    job: Job,
) -> None:
    """Put a job's study into the store: a CT's views, a radiograph as the only view."""
    if job.view == "CT":
        render_job(store, yaw_deg, load_job, job)
        return
    size = store.geometry.size
    item = Input(job.study, Path(job.source), job.view)
    taken = item.taken("auto")
    view_p: np.ndarray
    if adapter is None and preparation == "lung_field":
        view_p = normalise_radiograph(
            read_radiograph(item.path, 2 * size, None if taken == "auto" else taken == "ap").gray, size
        )[0]
    else:
        opened = None if adapter is None else _adapter(str(adapter))
        if opened is not None and opened.size != size:
            raise InputError(
                f"the adapter {adapter} makes views of {opened.size} px, the store holds {size}; use --size"
            )
        view_p = open_input(item, store.geometry, model=source, adapter=opened).view_p
    store.write(job.study, view_p[None], [0.0], job.labels)


@lru_cache(maxsize=1)
def _adapter(folder: str) -> Adapter:
    return Adapter.from_pretrained(folder)


def _job(sample: Sample, prepared: str, lifted: bool) -> Job:
    is_ct = sample.view == "CT"
    level = (
        RADIOGRAPH if not is_ct else VIRTUAL if sample.path.is_file() and is_virtual_patient(sample.path) else FROM_CT
    )
    labels = {**sample.facts(), EVIDENCE: level, **({} if is_ct else {PREPARATION: prepared})}
    return Job(
        sample.study,
        str(sample.path),
        series=sample.series or None,
        remove_couch=is_ct,  # no radiograph shows one
        lifted=lifted and is_ct,
        view=sample.view,
        labels=labels,
    )
