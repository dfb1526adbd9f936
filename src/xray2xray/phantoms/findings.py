"""What is wrong with a patient: five pathologies, each with a severity and a place."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from .lobes import LOBES, side_of

PATHOLOGIES = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
PATTERNS = ("lobar", "patchy", "hidden")  # of a consolidation; hidden: behind the heart or the dome of the diaphragm

# Chosen: in CheXpert (Irvin et al., AAAI 33:590, 2019) consolidation is positive in 14,783 of 223,414 images (7 %),
# effusion in 86,187 (39 %); training and evaluation want enough of each and enough without.
_PREVALENCE = np.array((0.22, 0.22, 0.18, 0.20, 0.26))

# Correlations of the latent normal variables, in the order of PATHOLOGIES. Chosen, not fitted: they give the signs and
# the order of the co-occurrences in reports. A failing heart brings cardiomegaly, edema and effusion (Gluecker et al.,
# Radiographics 19:1507, 1999); fluid compresses the lung; pneumonia has its parapneumonic effusion (Light, Pleural
# Diseases, 6th ed., ch. 9 and 12). Volume of the one, edition and chapters of the other from memory, not verified.
_CORRELATION = np.array(
    (
        (1.00, 0.08, 0.18, 0.08, 0.38),
        (0.08, 1.00, -0.05, 0.42, 0.28),
        (0.18, -0.05, 1.00, 0.05, 0.25),
        (0.08, 0.42, 0.05, 1.00, 0.42),
        (0.38, 0.28, 0.25, 0.42, 1.00),
    )
)
_PER_YEAR = np.array((0.003, 0.010, 0.0, 0.010, 0.006))  # of the latent variables, about the age of 61


@dataclass(frozen=True)
class Findings:
    """Severities in 0..1 (0 = absent) and where the finding is."""

    atelectasis: float = 0.0
    atelectasis_lobe: str = "right_lower"
    cardiomegaly: float = 0.0
    consolidation: float = 0.0
    consolidation_lobe: str = "right_lower"
    consolidation_pattern: str = "lobar"
    edema: float = 0.0
    edema_balance: float = 0.0  # -1 left only .. 0 both sides alike .. +1 right only
    effusion_right: float = 0.0
    effusion_left: float = 0.0

    @property
    def pleural_effusion(self) -> float:
        """Severity on the worse side."""
        return max(self.effusion_right, self.effusion_left)

    def labels(self) -> dict[str, int]:
        """The five binary labels, in the order of `PATHOLOGIES`."""
        return {name: int(getattr(self, name) > 0) for name in PATHOLOGIES}


def sample_findings(rng: np.random.Generator, age: float = 61.0) -> Findings:
    """Draw the findings of a patient of an age in years.

    A pathology is present where its latent variable, one of five correlated normals, exceeds the threshold of its
    prevalence. One in four is subtle, and mild is more
    frequent than severe; three in ten consolidations are hidden.
    """
    latent = np.linalg.cholesky(_CORRELATION) @ rng.standard_normal(5) + (age - 61.0) * _PER_YEAR
    present = latent > norm.isf(_PREVALENCE)
    subtle = rng.random(5) < 0.25
    severity = np.where(subtle, rng.uniform(0.10, 0.25, 5), 0.25 + 0.75 * rng.random(5) ** 1.5) * present
    atelectasis, cardiomegaly, consolidation, edema, effusion = (float(v) for v in severity)
    # Fluid of a failing heart is on both sides in 87 of 120 (Woodring, South Med J 98:518, 2005), other fluid mostly on
    # one (chosen). That the right has more is disputed: 43 to 41 there, 102 to 39 in a reply to it. 0.58 is chosen.
    both = rng.random() < (0.7 if edema else 0.25)
    worse = 1 if rng.random() < 0.58 else -1
    lesser = effusion * float(rng.uniform(0.3, 1.0)) if both else 0.0
    right, left = (effusion, lesser) if worse > 0 else (lesser, effusion)
    # Collapse follows fluid to the base of its side, and is mostly basal anyway.
    if effusion and rng.random() < 0.7:
        collapsed = "right_lower" if worse > 0 else "left_lower"
    else:
        collapsed = str(rng.choice(LOBES, p=(0.16, 0.12, 0.27, 0.10, 0.35)))
    pattern = str(rng.choice(PATTERNS, p=(0.30, 0.40, 0.30)))
    filled = str(rng.choice(LOBES, p=(0.18, 0.12, 0.30, 0.15, 0.25)))
    if pattern == "hidden":
        filled = "left_lower" if rng.random() < 0.65 else "right_lower"
    elif effusion and rng.random() < 0.5:
        filled = str(rng.choice([lobe for lobe in LOBES if side_of(lobe) == worse]))
    balance = rng.choice((-1, 1)) * rng.uniform(0.5, 0.9) if rng.random() < 0.1 else rng.normal(0, 0.12)
    return Findings(
        atelectasis=atelectasis,
        atelectasis_lobe=collapsed,
        cardiomegaly=cardiomegaly,
        consolidation=consolidation,
        consolidation_lobe=filled,
        consolidation_pattern=pattern,
        edema=edema,
        edema_balance=float(np.clip(balance, -1, 1)),
        effusion_right=right,
        effusion_left=left,
    )
