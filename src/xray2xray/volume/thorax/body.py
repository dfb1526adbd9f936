"""The shape of a healthy body: the numbers that outline, cage and organs are built from, drawn jointly."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Body:
    """Lengths in mm, angles in degrees, HU where named so; other numbers are factors around 1."""

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
    lung_hu: float
    rib_spacing_mm: float
    rib_phase: float
    rib_drop: float
    affine: tuple[tuple[float, ...], ...]  # (3, 3) extra linear deformation, near identity
    warp_mm: float  # amplitude of the smooth random displacement


def sample_body(rng: np.random.Generator, female: bool) -> Body:
    """Draw a body. Ranges follow textbook adult anatomy, widened on purpose: models trained on it transfer better."""

    def normal(mean: float, sd: float, low: float, high: float) -> float:
        return float(np.clip(rng.normal(mean, sd), low, high))

    habitus = normal(0.0, 1.0, -2.2, 2.6)  # thin .. obese; moves fat, belly, depth and the diaphragm
    kyphosis = normal(1.0, 0.35, 0.2, 2.0)
    linear = np.eye(3) + rng.normal(0, 1, (3, 3)) * np.array(
        [[0.05, 0.03, 0.03], [0.02, 0.06, 0.05], [0.02, 0.04, 0.06]]
    )
    inspiration = normal(5.0, 13.0, -30, 35) - 4.0 * habitus
    return Body(
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
        heart=normal(0.96, 0.06, 0.8, 1.12),
        heart_tilt_deg=normal(38 + 5 * habitus - 0.3 * inspiration, 9, 12, 65),
        heart_shift_mm=normal(0, 6, -15, 15),
        mediastinum=normal(1.0 + 0.07 * habitus, 0.12, 0.7, 1.45),
        aorta_mm=normal(14.0, 1.6, 10, 19),
        lung_hu=normal(-868, 30, -935, -770),
        rib_spacing_mm=normal(25.5, 1.8, 21, 31),
        rib_phase=float(rng.uniform(0, 1)),
        rib_drop=normal(1.0, 0.22, 0.4, 1.6),
        affine=tuple(tuple(float(v) for v in row) for row in linear),
        warp_mm=float(rng.uniform(3, 11)),
    )
