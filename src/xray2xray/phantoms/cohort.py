"""A cohort on disk: the volumes, a table with a row a patient, and what every column means."""

from pathlib import Path
from typing import Any

from ..core.seeds import split_of
from ..volume.nifti import VIRTUAL_PATIENT, write_nifti
from ..volume.volume import Volume
from . import risk
from .build import make_patient
from .findings import PATHOLOGIES
from .patient import Patient, sample_patient

_LOBE = "lobe of the {}, such as right_lower; empty where there is none"
COLUMNS = {
    "study": "name of the patient's files",
    "patient": "the same as the study: each has one",
    "volume": "the CT: file name in this folder",
    "seed": "the patient; the same on every machine",
    "split": "train, validation or test (70, 10, 20 %, by a hash of the seed); seeds from 1,000,000 are all test",
    "age": "years at the scan",
    "sex": "F or M",
    "fat_mm": "fat under the skin at the flank, mm; stands for adiposity",
    "posture": "of the scan: supine or erect",
    "contrast_hu": "density of blood, HU; above 100 with contrast agent",
    **{name: f"{name.replace('_', ' ')} planted (1) or not (0)" for name in PATHOLOGIES},
    **{f"{name}_severity": f"severity of the {name.replace('_', ' ')}, 0 (none) to 1" for name in PATHOLOGIES},
    "atelectasis_lobe": _LOBE.format("atelectasis"),
    "consolidation_lobe": _LOBE.format("consolidation"),
    "consolidation_pattern": "lobar, patchy, or hidden behind heart or diaphragm; empty where there is none",
    "edema_balance": "share of the edema in the right lung less that in the left, -1 to 1",
    "effusion_right": "severity of the pleural effusion on the right, 0 to 1",
    "effusion_left": "severity of the pleural effusion on the left, 0 to 1",
    "coronary_calcium": "planted calcium of the coronary arteries, Agatston units",
    "aortic_calcium": "planted calcium of the thoracic aorta's wall, Agatston units",
    "aortic_valve_calcium": "planted calcium of the aortic valve, Agatston units",
    "mitral_calcium": "planted calcium of the mitral annulus, Agatston units",
    "aorta_unfolding": "how far the aorta has widened and unfolded, 0 to 1",
    "emphysema": "share of the lung's volume that is emphysema, 0 to 0.4",
    "bone_density": "factor on the density of bone; 1 is a man of 60",
    "cvd_prevalent": "1 if the scan shows a cardiovascular abnormality beyond a threshold (risk.PREVALENT), else 0",
    "event": "how follow-up ended: 0 censored, 1 cardiovascular event, 2 other death (competing)",
    "time_years": "years from the scan to the end of follow-up",
    "risk_frontal": "privileged: part of the log hazard that a frontal view shows, standardised",
    "risk_depth": "privileged: part of the log hazard that only depth shows, standardised",
    "risk_hidden": "privileged: part of the log hazard that no image shows, standardised",
    "log_hazard_ratio": "privileged: true log hazard ratio, against a man of the same age with an average image",
    "event_risk_10y": "privileged: true probability of a cardiovascular event within 10 years, before another death",
}  # privileged: the truth of the simulation, to score against and never to train on


def cohort_row(patient: Patient) -> dict[str, Any]:
    """The row of a patient: every column of `COLUMNS` but the three that name the study."""
    findings, burden, scan = patient.findings, patient.burden, patient.scan
    part, outcome = risk.components(patient), risk.outcome(patient)
    return {
        "seed": patient.seed,
        "split": split_of(patient.seed),
        "age": round(patient.age, 1),
        "sex": "F" if patient.female else "M",
        "fat_mm": round(patient.body.fat_mm, 1),
        "posture": "supine" if scan.supine else "erect",
        "contrast_hu": round(scan.blood_hu),
        **findings.labels(),
        **{f"{name}_severity": round(getattr(findings, name), 3) for name in PATHOLOGIES},
        "atelectasis_lobe": findings.atelectasis_lobe if findings.atelectasis else "",
        "consolidation_lobe": findings.consolidation_lobe if findings.consolidation else "",
        "consolidation_pattern": findings.consolidation_pattern if findings.consolidation else "",
        "edema_balance": round(findings.edema_balance, 3) if findings.edema else "",
        "effusion_right": round(findings.effusion_right, 3),
        "effusion_left": round(findings.effusion_left, 3),
        "coronary_calcium": round(burden.coronary, 1),
        "aortic_calcium": round(burden.aortic, 1),
        "aortic_valve_calcium": round(burden.aortic_valve, 1),
        "mitral_calcium": round(burden.mitral_annulus, 1),
        "aorta_unfolding": round(burden.unfolding, 3),
        "emphysema": round(burden.emphysema, 3),
        "bone_density": round(burden.bone, 3),
        "cvd_prevalent": risk.cvd_prevalent(patient),
        "event": outcome.event,
        "time_years": round(outcome.time_years, 3),
        "risk_frontal": round(part.frontal, 4),
        "risk_depth": round(part.depth, 4),
        "risk_hidden": round(part.hidden, 4),
        "log_hazard_ratio": round(risk.log_hazard_ratio(patient), 4),
        "event_risk_10y": round(risk.event_risk(patient, 10.0), 4),
    }


def patient_labels(seed: int) -> dict[str, float]:
    """The labels of a seed's patient, without building the volume: the binary `LABELS`, then `event`, `time_years`."""
    row = cohort_row(sample_patient(seed))
    return {name: row[name] for name in (*PATHOLOGIES, "cvd_prevalent", "event", "time_years")}


def write_patient(folder: Path, size: int, truth: bool, seed: int) -> dict[str, Any]:
    """Write a patient's volume, and with `truth` tissue and findings of every voxel; returns the row for the table."""
    patient = sample_patient(seed)
    volume, tissue, findings = make_patient(patient, size)
    row = {"study": volume.source, "patient": volume.source, "volume": f"{volume.source}.nii.gz", **cohort_row(patient)}
    write_nifti(folder / row["volume"], volume, VIRTUAL_PATIENT)
    if truth:
        for name, labels in (("tissue", tissue), ("findings", findings)):
            write_nifti(folder / f"{volume.source}_{name}.nii.gz", Volume(labels, volume.affine, volume.source))
    return row
