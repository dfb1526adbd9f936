"""What is known of patients without a network: age and sex, and of virtual ones what a CT would measure."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...phantoms import LABELS, PATHOLOGIES, Patient, cohort_row, risk, sample_patient
from ...phantoms.shape import CAGE_W, MEDIA_W, Z, profiles, shape
from .cohort import TIME_COLUMNS, Cohort

SEX = {"F": 1.0, "M": 0.0}
UNKNOWN = 0.1  # share of patients


def age_sex(cohort: Cohort) -> np.ndarray:
    """Float64 (n, 4): decades from 60, their square, woman, decades of a woman.

    Of real patients an unknown age or sex is the training patients' mean, where at most a tenth are unknown.

    Raises:
        InputError: patients are not virtual, and more than a tenth lack one of the two.
    """
    if all("seed" in fact for fact in cohort.facts):
        known = np.array([(patient.age, float(patient.female)) for patient in virtual_patients(cohort)])
    else:
        known = np.array([(_age(fact.get("age")), SEX.get(str(fact.get("sex")), np.nan)) for fact in cohort.facts])
        unknown = np.isnan(known)
        if unknown.mean(axis=0).max() > UNKNOWN or unknown[cohort.rows("train")].all(axis=0).any():
            lacking = int(unknown.any(axis=1).sum())
            raise InputError(
                f"{cohort.source}: age_sex wants the columns age (years) and sex (F, M), which {lacking} of "
                f"{len(known)} studies lack"
            )
        known = np.where(unknown, np.nanmean(known[cohort.rows("train")], axis=0), known)
    age, female = known.T
    decades = (age - 60) / 10
    return np.stack([decades, decades**2, female, decades * female], axis=1)


def _age(said: Any) -> float:
    try:
        return float(said)
    except (TypeError, ValueError):
        return np.nan


def measured(cohort: Cohort) -> np.ndarray:
    """Float64 (n, 3): cardiothoracic ratio, width of the aorta (mm), frontal area of the lungs (cm2), as built."""
    return np.array([_measures(patient) for patient in virtual_patients(cohort)])


def factors(cohort: Cohort) -> np.ndarray:
    """Float64 (n, 14): the numbers of the volume that all labels are made of: `risk.factors` and severities."""
    return np.array([_factors(patient) for patient in virtual_patients(cohort)])


@cache
def virtual_patients(cohort: Cohort) -> list[Patient]:
    """The patients of a virtual cohort, whose every number is known.

    Raises:
        InputError: a study is of no virtual patient, or of one that another generator made.
    """
    found = []
    for study, fact in zip(cohort.studies, cohort.facts, strict=True):
        path = cohort.store.path(study)
        if "seed" not in fact:
            raise InputError(f"{path}: no seed, so its true numbers are not known; leave privileged methods out")
        seed = int(fact["seed"])
        patient = sample_patient(seed)
        if _differs(fact, cohort_row(patient)):
            raise InputError(f"{path}: its labels are not those of this generator's patient {seed}; render it again")
        found.append(patient)
    return found


def _differs(fact: Mapping[str, Any], truth: Mapping[str, Any]) -> bool:
    """Whether a label that is known is not the patient's."""
    known = [name for name in (*LABELS, *TIME_COLUMNS) if fact.get(name) not in (None, "")]
    return any(float(fact[name]) != truth[name] for name in known)


def _measures(patient: Patient) -> tuple[float, float, float]:
    table = profiles(patient)
    scalars = shape(patient, table)
    breadth = np.clip(table[:, CAGE_W] - table[:, MEDIA_W], 0, None)  # of one lung in each millimetre of height
    domes = (scalars.dome_right, scalars.dome_left)
    area_mm2 = sum(float(breadth[(dome < Z) & (scalars.apex > Z)].sum()) for dome in domes)
    return patient.cardiothoracic_ratio, 2 * patient.body.aorta_mm * patient.burden.aorta_growth, area_mm2 / 100


def _factors(patient: Patient) -> list[float]:
    found = {**asdict(patient.findings), "pleural_effusion": patient.findings.pleural_effusion}
    return [*risk.factors(patient).values(), *(float(found[name]) for name in PATHOLOGIES)]
