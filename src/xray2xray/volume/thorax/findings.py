"""What is wrong with a patient: five pathologies, each with a severity and a side."""

from dataclasses import dataclass

import numpy as np

PATHOLOGIES = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
_PREVALENCE = (0.18, 0.25, 0.18, 0.18, 0.25)


@dataclass(frozen=True)
class Findings:
    """Severities in 0..1 (0 = absent); a side is +1 for the right, -1 for the left."""

    atelectasis: float = 0.0
    atelectasis_side: int = 1
    cardiomegaly: float = 0.0
    consolidation: float = 0.0
    consolidation_side: int = 1
    edema: float = 0.0
    pleural_effusion: float = 0.0
    effusion_side: int = 1

    def labels(self) -> dict[str, int]:
        """The five binary labels, in the order of `PATHOLOGIES`."""
        return {name: int(getattr(self, name) > 0) for name in PATHOLOGIES}


def sample_findings(rng: np.random.Generator) -> Findings:
    """Draw findings with the co-occurrence that matters most: a failing heart brings edema and effusion."""
    present = rng.random(len(PATHOLOGIES)) < _PREVALENCE
    failing = rng.random() < 0.08
    severity = rng.uniform(0.25, 1.0, len(PATHOLOGIES))
    sides = rng.choice((-1, 1), 3)
    wet = failing * np.array([0, 1, 0, 1, rng.random() < 0.7])
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
    )
