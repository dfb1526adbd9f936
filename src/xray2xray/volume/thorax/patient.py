"""Who a virtual patient is: a seed becomes the few dozen numbers that the anatomy is built from.

Numbers are drawn jointly: habitus, sex and height move the outline, the cage and the organs together, and findings move
the anatomy they are known for. Ranges follow textbook adult anatomy, widened on purpose, because a model trained on
patients wider than reality transfers better than one trained on a narrow average.
"""

from dataclasses import dataclass

import numpy as np

LABELS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion", "cvd")
_PREVALENCE = (0.18, 0.25, 0.18, 0.18, 0.25, 0.30)


@dataclass(frozen=True)
class Findings:
    """What is wrong with the patient: severities in 0..1 (0 = absent); `side` is +1 for the right, -1 for the left."""

    atelectasis: float = 0.0
    atelectasis_side: int = 1
    cardiomegaly: float = 0.0
    consolidation: float = 0.0
    consolidation_side: int = 1
    edema: float = 0.0
    pleural_effusion: float = 0.0
    effusion_side: int = 1
    cvd: float = 0.0

    def labels(self) -> dict[str, int]:
        """The six binary labels, in the order of `LABELS`."""
        return {name: int(getattr(self, name) > 0) for name in LABELS}


@dataclass(frozen=True)
class Patient:
    """A virtual patient. Lengths in mm, angles in degrees, HU where named so; other numbers are factors around 1."""

    seed: int
    findings: Findings
    female: bool
    supine: bool
    arms_up: bool
    height: float  # scales all lengths
    depth: float  # antero-posterior size of the cage
    width: float
    fat_mm: float  # subcutaneous fat at the flank
    belly: float  # how far the abdomen stands out
    muscle: float
    breast_mm: float
    kyphosis: float
    scoliosis_mm: float
    taper: float  # how much narrower and shallower the cage gets towards its apex
    boxiness: float  # exponent of the cage's cross-section
    inspiration_mm: float  # diaphragm down (positive) or up
    dome_gap_mm: float  # right dome above left
    dome_curve: float
    heart: float
    heart_tilt_deg: float
    heart_shift_mm: float
    mediastinum: float
    aorta_mm: float  # radius
    calcified: float
    lung_hu: float
    blood_hu: float
    bone: float
    rib_spacing_mm: float
    rib_phase: float
    rib_drop: float
    affine: tuple[tuple[float, ...], ...]  # (3, 3) extra linear deformation, near identity
    warp_mm: float  # amplitude of the smooth random displacement
    scan_top_mm: float  # above the mid-lung plane
    scan_bottom_mm: float  # below it
    field_of_view_mm: float  # radius of the scanned circle
    field_shift_mm: tuple[float, float]
    couch: bool
    noise_hu: float


def sample_findings(rng: np.random.Generator) -> Findings:
    """Draw findings with the co-occurrence that matters most: a failing heart brings edema and effusion."""
    present = rng.random(len(LABELS)) < _PREVALENCE
    failing = rng.random() < 0.08
    severity = rng.uniform(0.25, 1.0, len(LABELS))
    sides = rng.choice((-1, 1), 3)
    wet = failing * np.array([0, 1, 0, 1, rng.random() < 0.7, rng.random() < 0.6])
    amount = [float(s) if p or w else 0.0 for s, p, w in zip(severity, present, wet, strict=True)]
    return Findings(
        atelectasis=amount[0],
        atelectasis_side=int(sides[0]),
        cardiomegaly=amount[1],
        consolidation=amount[2],
        consolidation_side=int(sides[1]),
        edema=amount[3],
        pleural_effusion=amount[4],
        effusion_side=int(sides[2]),
        cvd=amount[5],
    )


def sample_patient(seed: int) -> Patient:
    """The patient of a seed: the same numbers on every machine (shape: a frozen `Patient`)."""
    rng = np.random.default_rng(seed)
    findings = sample_findings(rng)

    def normal(mean: float, sd: float, low: float, high: float) -> float:
        return float(np.clip(rng.normal(mean, sd), low, high))

    female = bool(rng.random() < 0.5)
    habitus = normal(0.0, 1.0, -2.2, 2.6)  # thin .. obese; moves fat, belly, depth and the diaphragm
    kyphosis = normal(1.0, 0.35, 0.2, 2.0)
    supine = bool(rng.random() < 0.75)
    linear = np.eye(3) + rng.normal(0, 1, (3, 3)) * np.array(
        [[0.05, 0.03, 0.03], [0.02, 0.06, 0.05], [0.02, 0.04, 0.06]]
    )
    inspiration = normal(5.0, 13.0, -30, 35) - 4.0 * habitus
    return Patient(
        seed=seed,
        findings=findings,
        female=female,
        supine=supine,
        arms_up=bool(rng.random() < 0.8),
        height=normal(0.96 if female else 1.03, 0.06, 0.80, 1.20),
        depth=normal(1.0 + 0.05 * habitus + 0.06 * (kyphosis - 1), 0.10, 0.72, 1.35),
        width=normal(1.0 + 0.02 * habitus, 0.06, 0.82, 1.20),
        fat_mm=float(np.clip(13 + 9 * habitus + rng.normal(0, 3) + 3 * female, 3, 45)),
        belly=normal(0.6 + 0.6 * habitus, 0.5, -0.6, 3.0),
        muscle=normal(0.92 if female else 1.08, 0.15, 0.6, 1.6),
        breast_mm=float(np.clip(rng.normal(32 + 7 * habitus, 10), 8, 60)) if female else 0.0,
        kyphosis=kyphosis,
        scoliosis_mm=normal(0, 5, -16, 16),
        taper=normal(1.0, 0.18, 0.55, 1.5),
        boxiness=normal(2.35, 0.22, 1.9, 3.0),
        inspiration_mm=inspiration,
        dome_gap_mm=normal(13, 9, -12, 38),
        dome_curve=normal(1.0, 0.25, 0.4, 1.7),
        heart=normal(0.96, 0.06, 0.8, 1.12) * (1 + 0.32 * findings.cardiomegaly**0.7) * (1 + 0.06 * findings.cvd),
        heart_tilt_deg=normal(38 + 5 * habitus - 0.3 * inspiration, 9, 12, 65),
        heart_shift_mm=normal(0, 6, -15, 15),
        mediastinum=normal(1.0 + 0.07 * habitus, 0.12, 0.7, 1.45),
        aorta_mm=normal(14.0, 1.6, 10, 19) * (1 + 0.35 * findings.cvd),
        calcified=findings.cvd,
        lung_hu=normal(-868, 30, -935, -770),
        blood_hu=float(rng.uniform(120, 320)) if rng.random() < 0.35 else normal(42, 6, 28, 58),
        bone=normal(1.0, 0.18, 0.55, 1.5),
        rib_spacing_mm=normal(25.5, 1.8, 21, 31),
        rib_phase=float(rng.uniform(0, 1)),
        rib_drop=normal(1.0, 0.22, 0.4, 1.6),
        affine=tuple(tuple(float(v) for v in row) for row in linear),
        warp_mm=float(rng.uniform(3, 11)),
        scan_top_mm=float(rng.uniform(98, 168)),
        scan_bottom_mm=float(rng.uniform(105, 200)),
        field_of_view_mm=float(rng.uniform(150, 192)) if rng.random() < 0.5 else 260.0,
        field_shift_mm=(normal(0, 8, -20, 20), normal(0, 10, -25, 25)),
        couch=bool(rng.random() < 0.7) and supine,
        noise_hu=float(rng.uniform(4, 28)),
    )
