"""Virtual patients as the readers meet them: two pictures, and the numbers that only their maker knows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ...core.errors import InputError
from ...core.seeds import Split, split_of
from ...data.store import ViewStore
from ...parallel.progress import progress
from ...phantoms import LABELS, PATHOLOGIES, Patient, patient_volume, sample_patient
from ...phantoms.risk import DIAL, EVENT, SPREAD, components, cvd_prevalent, factors, outcome
from ...projection import render

ENDPOINTS = (*LABELS, "cvd_time")
YAW_DEG = (0.0, 90.0)  # frontal, left lateral
SIDE = 64  # pixels along an edge of a picture
HAZARDS = ("frontal part", "+ depth", "+ hidden")


@dataclass(frozen=True, eq=False)
class People:
    """Patients as numbers, a row each.

    Attributes:
        seeds: int (n,).
        labels: float32 (n, 6) of 0 and 1, columns as `LABELS`.
        event: bool (n,), whether a cardiovascular event ended follow-up; other deaths are censored.
        time_years: float (n,), when it ended.
        known: (n, 4), what age and sex say: decades from 60, their square, woman, decades of a woman.
        factors: (n, 14), the true numbers of the volume that the endpoints are made of: `risk.factors`, severities.
        log_hazard: (n, 3), the true log hazard from age, sex and as much of the image's part as `HAZARDS` says.
    """

    seeds: np.ndarray
    labels: np.ndarray
    event: np.ndarray
    time_years: np.ndarray
    known: np.ndarray
    factors: np.ndarray
    log_hazard: np.ndarray

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: np.ndarray) -> "People":
        return People(**{name: column[index] for name, column in vars(self).items()})

    def places(self, split: Split) -> np.ndarray:
        """Rows (m,) of the patients of a split."""
        return np.flatnonzero([split_of(int(seed)) == split for seed in self.seeds])


def people(seeds: Sequence[int]) -> People:
    """The patients of these seeds. All is sampled anew: labels in a store may be of an earlier hazard."""
    patients = [sample_patient(int(seed)) for seed in seeds]
    follow_up = [outcome(patient) for patient in patients]
    return People(
        seeds=np.array(seeds),
        labels=np.array([[*p.findings.labels().values(), cvd_prevalent(p)] for p in patients], np.float32),
        event=np.array([end.event == 1 for end in follow_up]),
        time_years=np.array([end.time_years for end in follow_up]),
        known=np.array([_known(patient) for patient in patients]),
        factors=np.array([_factors(patient) for patient in patients]),
        log_hazard=np.array([_log_hazards(patient) for patient in patients]),
    )


def read_stores(stores: Sequence[ViewStore]) -> tuple[list[int], np.ndarray]:
    """`read_pictures` of several stores, one after the other; a patient counts once, where it was met first.

    Raises:
        InputError: as `read_pictures`.
    """
    seeds: list[int] = []
    pictures: list[np.ndarray] = []
    for store in stores:
        found, seen = read_pictures(store)
        met = set(seeds)
        new = [row for row, seed in enumerate(found) if seed not in met]
        seeds += [found[row] for row in new]
        pictures.append(seen if len(new) == len(seen) else seen[new])
    return seeds, pictures[0] if len(pictures) == 1 else np.concatenate(pictures)


def read_pictures(store: ViewStore) -> tuple[list[int], np.ndarray]:
    """Seeds and line integrals, float32 (n, 2, SIDE, SIDE), of the virtual patients in a store; CTs are passed over.

    Raises:
        InputError: no patients, pictures that cannot be averaged to SIDE pixels, a lacking view, or views that the
            present generator would not make, whose labels would be another patient's.
    """
    fold, rest = divmod(store.geometry.size, SIDE)
    if rest:
        raise InputError(f"{store.folder} holds views of {store.geometry.size} pixels; the ceiling wants {SIDE} or 128")
    seeds: list[int] = []
    pictures: list[np.ndarray] = []
    for name in progress(store.studies(), "reading"):
        labels = store.read_labels(name)
        if "seed" not in labels:
            continue
        views_p = store.read(name, YAW_DEG).views_p
        if not seeds:
            again = render(patient_volume(labels["seed"]), store.geometry, YAW_DEG, threads=1)
            if np.abs(again - views_p).max() > 0.01:
                raise InputError(f"{store.folder} was rendered by another generator than this one; render it again")
        seeds.append(int(labels["seed"]))
        pictures.append(views_p.reshape(2, SIDE, fold, SIDE, fold).mean(axis=(2, 4)))
    if not seeds:
        raise InputError(f"{store.folder} holds no virtual patients; make them with `xray2xray render --procedural N`")
    return seeds, np.stack(pictures)


def _known(patient: Patient) -> list[float]:
    decades, female = (patient.age - 60) / 10, float(patient.female)
    return [decades, decades**2, female, decades * female]


def _factors(patient: Patient) -> list[float]:
    found = {**asdict(patient.findings), "pleural_effusion": patient.findings.pleural_effusion}
    return [*factors(patient).values(), *(found[name] for name in PATHOLOGIES)]


def _log_hazards(patient: Patient) -> np.ndarray:
    shares = np.sqrt([DIAL.frontal, DIAL.depth, DIAL.hidden])
    without_image = EVENT.slope * (patient.age - 60) + EVENT.female * patient.female
    return without_image + SPREAD * np.cumsum(shares * components(patient))
