"""What a patient's numbers promise, measured on what is built."""

import numpy as np
import pytest

from xray2xray.phantoms import TISSUES, sample_patient
from xray2xray.phantoms.build import Built
from xray2xray.phantoms.patient import LARGE_RATIO


def breadth(built: Built, *tissues: str) -> int:
    there = np.isin(built.tissue, [TISSUES.index(name) for name in tissues]).any(axis=(1, 2))
    return int(np.ptp(np.flatnonzero(there))) + 1


def ratio(built: Built) -> float:
    return breadth(built, "heart") / breadth(built, "lung_right", "lung_left")


@pytest.mark.parametrize("heart", [0.85, 1.0, 1.1])
def test_the_heart_is_as_broad_as_its_share_of_the_cage(healthy, changed, build, heart: float) -> None:
    patient = changed(healthy(), "body", heart=heart)
    assert ratio(build(patient, 96)) == pytest.approx(patient.cardiothoracic_ratio, abs=0.045)


def test_a_broader_cage_holds_a_broader_heart(healthy, changed, build) -> None:
    narrow, broad = (build(changed(healthy(), "body", width=width), 96) for width in (0.9, 1.1))
    assert breadth(broad, "heart") > breadth(narrow, "heart")
    assert ratio(broad) == pytest.approx(ratio(narrow), abs=0.03)


def test_only_cardiomegaly_makes_a_heart_large() -> None:
    patients = [sample_patient(seed) for seed in range(400)]
    for patient in patients:
        large = patient.cardiothoracic_ratio > LARGE_RATIO + 0.005
        assert large == (patient.findings.cardiomegaly > 0)
