"""Procedural patients: seeded virtual chests with exact 3D truth. Everything made from them is a virtual trial."""

from .body import Body
from .build import EXTENT_MM, Built, make_patient, make_volume, patient_volume
from .burden import Burden
from .cohort import COLUMNS, cohort_row, patient_labels
from .findings import PATHOLOGIES, Findings
from .patient import Patient, sample_patient
from .scan import Scan
from .tissues import TISSUES

LABELS = (*PATHOLOGIES, "cvd_prevalent")

__all__ = [
    "COLUMNS",
    "EXTENT_MM",
    "LABELS",
    "PATHOLOGIES",
    "TISSUES",
    "Body",
    "Built",
    "Burden",
    "Findings",
    "Patient",
    "Scan",
    "cohort_row",
    "make_patient",
    "make_volume",
    "patient_labels",
    "patient_volume",
    "sample_patient",
]
