"""What is evaluated: real CTs and virtual patients that no training has seen, rendered one after the other."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import progress
from ..projection.geometry import STANDARD_ARC, Geometry
from ..rungs import FROM_CT, VIRTUAL
from ..seeds import FIRST_TEST_SEED
from .metrics import Array


@dataclass(frozen=True)
class Case:
    """One patient with the truth at every angle asked for: `views_p` float32 (angles, h, w)."""

    name: str
    rung: str
    views_p: Array


@dataclass(frozen=True)
class Source:
    """A case that is not rendered yet; `views(geometry, yaw_deg)` reads or makes it."""

    name: str
    rung: str
    views: Callable[[Geometry, Sequence[float]], Array]


def sources(
    ct: Sequence[str | Path] = (), procedural: int = 0, seed: int = 0, series: str | None = None
) -> Iterator[Source]:
    """The CTs, then virtual patients from 1,000,000 + `seed`; nothing is read before its turn comes."""
    from ..projection.render import render
    from ..volume.nifti import is_virtual_patient
    from ..volume.read import read_volume
    from ..volume.thorax import patient_volume

    def from_ct(path: Path) -> Callable[[Geometry, Sequence[float]], Array]:
        return lambda geometry, yaw_deg: render(read_volume(path, series), geometry, yaw_deg)

    def from_seed(patient: int) -> Callable[[Geometry, Sequence[float]], Array]:
        return lambda geometry, yaw_deg: render(patient_volume(patient), geometry, yaw_deg)

    taken: dict[str, int] = {}
    for path in _expanded(ct):
        name = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".zip") or str(path)
        taken[name] = taken.get(name, 0) + 1
        rung = VIRTUAL if is_virtual_patient(path) else FROM_CT
        yield Source(name if taken[name] == 1 else f"{name}-{taken[name]}", rung, from_ct(path))
    for patient in range(FIRST_TEST_SEED + seed, FIRST_TEST_SEED + seed + procedural):
        yield Source(f"thorax-{patient}", VIRTUAL, from_seed(patient))


def _expanded(ct: Sequence[str | Path]) -> Iterator[Path]:
    """A folder of NIfTI files stands for each of them; a folder of DICOM files is one scan."""
    for path in map(Path, ct):
        nifti = sorted([*path.glob("*.nii"), *path.glob("*.nii.gz")]) if path.is_dir() else []
        yield from nifti or [path]


def rendered(
    chosen: Sequence[Source],
    geometry: Geometry,
    failed: list[dict[str, str]],
    yaw_deg: Sequence[float] = STANDARD_ARC,
    description: str = "evaluating",
) -> Iterator[Case]:
    """Render one source after the other; one that fails is noted in `failed` and the rest goes on."""
    for source in progress(chosen, description):
        try:
            views_p = source.views(geometry, yaw_deg)
        except Exception as error:  # a damaged file can fail in any library, and the cohort must not
            expected = isinstance(error, InputError | OSError)
            reason = " ".join((str(error) if expected else f"{type(error).__name__}: {error}").split())
            failed.append({"case": source.name, "rung": source.rung, "reason": reason})
            print(f"xray2xray: left out {source.name}: {reason}", file=sys.stderr, flush=True)
        else:
            yield Case(source.name, source.rung, views_p)


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
