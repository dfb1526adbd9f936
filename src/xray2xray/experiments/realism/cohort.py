"""Virtual patients, built once on two processes and kept as small arrays: a second run only reads them."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ... import phantoms
from ...io.files import atomic_path
from ...parallel.progress import progress
from ...phantoms import Patient, make_volume, sample_patient
from . import masks, pairs, scans, spectra

PROCESSES = 2
RADIOGRAPH_SIZE = 128  # 3 mm: outlines within a hundredth of the chest's width
SCAN_SIZE = 192  # 2 mm, the grid of the real CTs

Arrays = dict[str, np.ndarray]


def lying(n: int) -> list[Patient]:
    """The first n patients who are scanned lying, as all real CTs are."""
    return list(islice((p for p in map(sample_patient, count()) if p.scan.supine), n))


def erect(n: int) -> list[Patient]:
    """The first n patients as they stand for a radiograph: arms down, nothing of the chest outside the field."""
    return [_standing(sample_patient(seed)) for seed in range(n)]


def _standing(patient: Patient) -> Patient:
    scan = replace(
        patient.scan, supine=False, arms_up=False, couch=False, field_of_view_mm=300.0, above_mm=60.0, below_mm=150.0
    )
    return replace(patient, scan=scan)


def pair_of(size: int, patient: Patient) -> Arrays:
    """Prepared frontal and lateral, (2, 112, 112) float16: a thousandth of a grey step is enough."""
    return {"pairs": pairs.pair(make_volume(patient, size)[0]).astype(np.float16)}


def radiograph_of(patient: Patient) -> Arrays:
    """`masks.MEASURES` on the patient's PA radiograph, its two masks, and what is wrong with the patient."""
    heart, lungs = masks.projected(*make_volume(patient, RADIOGRAPH_SIZE))
    found = masks.measures(heart, lungs, masks.virtual_frame_pixels())
    return {
        "measures": np.array([found[name] for name in masks.MEASURES]),
        "masks": (lungs + 2 * heart).astype(np.uint8),
        "cardiomegaly": np.array(patient.findings.cardiomegaly > 0),
        "pleural_effusion": np.array(patient.findings.pleural_effusion > 0),
    }


def scan_of(patient: Patient) -> Arrays:
    """What is measured on a real CT too: see `scans.measure`; and a pair from the finest grid."""
    volume, tissue = make_volume(patient, SCAN_SIZE)
    return {**scans.measure(volume, scans.virtual_tissues(tissue)), "pairs": pairs.pair(volume)}


def cached(path: Path, work: Callable[[Patient], Arrays], patients: Sequence[Patient]) -> Arrays:
    """`work` of every patient, stacked, from `path` where it is there. The name tells the generator's version."""
    path = path.with_stem(f"{path.stem}-{len(patients)}-{generator_digest()}")
    if not path.is_file():
        found = list(progress(_on_all(work, patients), path.stem, total=len(patients)))
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **{key: np.stack([row[key] for row in found]) for key in found[0]})  # type: ignore[arg-type]
    with np.load(path) as file:
        return dict(file)


def _on_all(work: Callable[[Patient], Arrays], patients: Sequence[Patient]) -> Iterator[Arrays]:
    """In order, on `PROCESSES` processes with one thread each: numba reads the variable when it is first imported."""
    before = dict(os.environ)
    os.environ |= {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        with get_context("spawn").Pool(PROCESSES) as pool:
            yield from pool.imap(work, patients, chunksize=4)
    finally:
        os.environ.clear()
        os.environ |= before


def generator_digest() -> str:
    """Eight digits that change when the generator or the way of measuring does."""
    digest = hashlib.sha256()
    measuring = [Path(str(module.__file__)) for module in (pairs, masks, scans, spectra)]
    for path in (*sorted(Path(phantoms.__file__).parent.glob("*.[pj]*")), *measuring, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def cohort(out: Path, n: int, size: int) -> tuple[Arrays, Arrays, Arrays]:
    """Pairs of n lying patients at `size`^3, radiographs of n / 4 erect ones, n / 40 (12 at least) scans at 2 mm."""
    return (
        cached(out / f"pairs{size}.npz", partial(pair_of, size), lying(n)),
        cached(out / "radiographs.npz", radiograph_of, erect(max(n // 4, 8))),
        cached(out / "scans.npz", scan_of, lying(max(n // 40, 12))),
    )
