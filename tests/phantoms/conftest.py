"""A healthy virtual patient, what changes her, and her frontal view: findings are then the only difference."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from xray2xray.phantoms import Burden, Findings, Patient, make_patient, sample_patient
from xray2xray.phantoms.body import joint_shape
from xray2xray.phantoms.build import Built
from xray2xray.projection import preset, project
from xray2xray.volume.attenuation import hu_to_mu

SIZE = 64


@pytest.fixture(scope="session")
def whole() -> dict[str, object]:
    """An examination that shows everything: erect, unenhanced, uncut, without a couch."""
    return {
        "supine": False,
        "blood_hu": 45.0,
        "field_of_view_mm": 400.0,
        "above_mm": 45.0,
        "below_mm": 60.0,
        "couch": False,
    }


@pytest.fixture(scope="session")
def healthy(whole) -> Callable[..., Patient]:
    """A patient of average shape with no finding, scanned whole."""

    def make(seed: int = 3) -> Patient:
        patient = sample_patient(seed)
        linear = tuple(tuple(float(i == j) for j in range(3)) for i in range(3))
        scan = replace(patient.scan, **whole, noise_hu=2.0)
        joint = joint_shape()
        typical = dict(zip(joint.names, joint.mean.tolist(), strict=True)) | {"breast_mm": 0.0}
        body = replace(patient.body, **typical)
        body = replace(body, heart=1.0, aorta_mm=14.0, affine=linear, warp_mm=1.0)
        return replace(patient, findings=Findings(), burden=Burden(), body=body, scan=scan)

    return make


@pytest.fixture(scope="session")
def changed() -> Callable[..., Patient]:
    """The patient with other numbers in one of its groups."""

    def change(patient: Patient, group: str, **numbers: object) -> Patient:
        return replace(patient, **{group: replace(getattr(patient, group), **numbers)})

    return change


@pytest.fixture(scope="session")
def build() -> Callable[..., Built]:
    """The patient at 6 mm."""

    def make(patient: Patient, size: int = SIZE) -> Built:
        return make_patient(patient, size)

    return make


@pytest.fixture(scope="session")
def frontal() -> Callable[[Built], np.ndarray]:
    """(64, 64) line integrals of the PA view on a fixed isocentre: rows from superior, columns from the right side."""

    def view(built: Built) -> np.ndarray:
        mu = hu_to_mu(built.volume.hu)
        return project(mu, built.volume.affine, preset("chest", SIZE), [0.0])[0]

    return view
