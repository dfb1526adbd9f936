"""Procedural patients: seeded virtual chests with exact 3D truth. Everything made from them is a virtual trial."""

from .build import EXTENT_MM, make_volume, patient_labels, patient_volume
from .painter import TISSUES
from .patient import LABELS, Findings, Patient, sample_patient

__all__ = [
    "EXTENT_MM",
    "LABELS",
    "TISSUES",
    "Findings",
    "Patient",
    "make_volume",
    "patient_labels",
    "patient_volume",
    "sample_patient",
]
