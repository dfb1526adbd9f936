"""What is evaluated: real CTs and virtual patients that no training has seen, rendered one after the other."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..core.errors import InputError
from ..core.evidence import FROM_CT, VIRTUAL
from ..core.seeds import FIRST_TEST_SEED
from ..data.cohorts.plain import read_table
from ..data.cohorts.rows import is_table
from ..data.groups import TEST
from ..data.inputs import scans
from ..parallel.progress import progress
from ..projection.forward import project
from ..projection.geometry import NAMED_VIEWS, STANDARD_ARC, Geometry
from ..projection.render import render
from ..projection.valid import valid_rays
from ..volume.chest import Chest
from ..volume.volume import Volume
from .metrics import Array
from .results import Failure
from .volumes import resample

log = logging.getLogger(__name__)
C = TypeVar("C")

WHOLE, CUT = "whole chest", "cut scan"
MISSED = 0.1  # of the rays of frontal and lateral: a scan of which more miss a part of the patient is cut
SCAN_PIXELS = 64  # of the views that are looked at for this
BODY_MM = 2.0  # of a ray's path through the body; less is the edge of a voxel
BONE_HU = 200.0
BONE_YAW_DEG = (-90.0, -60.0, -30.0, -15.0, 15.0, 30.0, 60.0, 90.0)  # enough for a mean, in a fifth of the time


@dataclass(frozen=True)
class Case:
    """One patient with the truth at every angle asked for: `views_p` float32 (angles, h, w).

    Where asked for: `lung_mm` is how far each ray runs through gas inside the body; `bone_mm` through bone (above 200
    HU, with contrast medium where there is any), at the angles asked for; `body`, whether it meets the body at all;
    `scan` is `WHOLE` or `CUT`; `truth` is the scan on a grid about its isocentre.
    """

    name: str
    evidence_level: str
    views_p: Array
    lung_mm: Array | None = None
    bone_mm: Array | None = None
    body: NDArray[np.bool_] | None = None
    scan: str | None = None
    truth: Chest | None = None


@dataclass(frozen=True)
class Source:
    """A case that is not rendered yet; `volume()` reads or makes it."""

    name: str
    evidence_level: str
    volume: Callable[[], Volume]
    path: str | None = None  # of a scan


def sources(
    ct: Sequence[str | Path] = (),
    procedural: int = 0,
    seed: int = 0,
    series: str | None = None,
    without_couch: bool = False,
) -> Iterator[Source]:
    """The CTs, then virtual patients from 1,000,000 + `seed`; nothing is read before its turn comes.

    Of a table that `cohort` wrote the CTs of its test split are evaluated, all where it has none.

    `without_couch`: couch, cushions and sheets become air, as in a radiograph taken upright.
    """
    from ..phantoms import patient_volume
    from ..volume.couch import remove_couch
    from ..volume.nifti import is_virtual_patient
    from ..volume.read import read_volume

    def bare(read: Callable[[], Volume]) -> Callable[[], Volume]:
        return (lambda: remove_couch(read())) if without_couch else read

    taken: dict[str, int] = {}
    for name, path, of_series in _listed(ct, series):
        taken[name] = taken.get(name, 0) + 1
        level = VIRTUAL if is_virtual_patient(path) else FROM_CT
        name = name if taken[name] == 1 else f"{name}-{taken[name]}"
        yield Source(name, level, bare(partial(read_volume, path, of_series)), str(path))
    for patient in range(FIRST_TEST_SEED + seed, FIRST_TEST_SEED + seed + procedural):
        yield Source(f"thorax-{patient}", VIRTUAL, bare(partial(patient_volume, patient)))


def _listed(ct: Sequence[str | Path], series: str | None) -> Iterator[tuple[str, Path, str | None]]:
    """Name, path and series of each CT."""
    tables = [path for path in map(Path, ct) if is_table(path) and path.is_file()]
    for path in scans(path for path in map(Path, ct) if path not in tables):
        yield path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".zip") or str(path), path, series
    for table in tables:
        samples = [sample for sample in read_table(table).samples if sample.view == "CT" and sample.split in ("", TEST)]
        if not samples:
            raise InputError(f"{table}: no CT in its test split")
        yield from ((sample.study, sample.path, sample.series or series) for sample in samples)


def rendered(
    chosen: Sequence[Source],
    geometry: Geometry,
    failed: list[Failure],
    yaw_deg: Sequence[float] = STANDARD_ARC,
    description: str = "evaluating",
    with_lungs: bool = False,
    with_body: bool = False,
    bone_yaw_deg: Sequence[float] = (),
    grid: Volume | None = None,
) -> Iterator[Case]:
    """Render one source after the other, with what else is asked for (see `Case`); see `each`."""

    def case(source: Source) -> Case:
        chest = Chest.of(source.volume())
        views_p = render(chest, geometry, yaw_deg)
        lung_mm = _length_mm(chest, chest.lungs, geometry, yaw_deg) if with_lungs else None
        bone_mm = _length_mm(chest, chest.hu > BONE_HU, geometry, bone_yaw_deg) if bone_yaw_deg else None
        body = _meets_body(chest, geometry, yaw_deg) if with_body else None
        scan = extent_of(chest, geometry) if with_body else None
        truth = None if grid is None else Chest.of(resample(chest, grid, chest.isocentre_mm))
        return Case(source.name, source.evidence_level, views_p, lung_mm, bone_mm, body, scan, truth)

    return each(chosen, case, failed, description)


def each(
    chosen: Sequence[Source], make: Callable[[Source], C], failed: list[Failure], description: str = "evaluating"
) -> Iterator[C]:
    """`make` of one source after the other; one that fails is noted in `failed` and the rest goes on."""
    for source in progress(chosen, description):
        try:
            made = make(source)
        except Exception as error:  # a damaged file can fail in any library, and the cohort must not
            expected = isinstance(error, InputError | OSError)
            reason = " ".join((str(error) if expected else f"{type(error).__name__}: {error}").split())
            failed.append(Failure(source.name, source.evidence_level, reason, source.path))
            log.warning("left out %s: %s", source.name, reason)
        else:
            yield made


def extent_of(chest: Chest, geometry: Geometry) -> str:
    """`CUT` where the scan's range or field of view is too small for a frontal and a lateral, else `WHOLE`.

    Their pictures then have empty margins, and lungs or body may be truncated.
    """
    missed = ~valid_rays(chest, replace(geometry, size=SCAN_PIXELS), (0.0, NAMED_VIEWS["left_lateral"]))
    return CUT if missed.mean() > MISSED else WHOLE


def _meets_body(chest: Chest, geometry: Geometry, yaw_deg: Sequence[float]) -> NDArray[np.bool_]:
    """The rays that meet the body; all of a view in which none does."""
    body = _length_mm(chest, chest.body, geometry, yaw_deg) > BODY_MM
    return np.asarray(body | ~body.any(axis=(1, 2), keepdims=True))


def _length_mm(chest: Chest, mask: np.ndarray, geometry: Geometry, yaw_deg: Sequence[float]) -> Array:
    """How far each ray runs through a mask of the chest's voxels."""
    return project(mask.astype(np.float32), chest.affine, geometry, yaw_deg, chest.isocentre_mm)


def batches(cases: Iterable[Case], size: int) -> Iterator[list[Case]]:
    """`size` cases at a time, the last ones fewer."""
    batch: list[Case] = []
    for case in cases:
        batch.append(case)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
