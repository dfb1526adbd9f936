"""What years leave behind: calcium, emphysema, thin bone. They drive cardiovascular risk and show in the volume."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Burden:
    """Severities in 0..1 (0 = none); `bone` is a factor on the density of bone around 1."""

    coronary: float = 0.0
    aortic: float = 0.0
    valve: float = 0.0
    emphysema: float = 0.0
    bone: float = 1.0


def sample_burden(rng: np.random.Generator, age: float, female: bool) -> Burden:
    """Draw a burden that grows with age."""
    late = float(np.clip((age - 45) / 40, 0, 1))

    def amount(likely: float) -> float:
        return float(rng.uniform(0.1, 1.0)) if rng.random() < likely * late else 0.0

    return Burden(
        coronary=amount(0.9),
        aortic=amount(0.9),
        valve=amount(0.4),
        emphysema=amount(0.4),
        bone=float(np.clip(rng.normal(1.12 - 0.25 * late - 0.05 * female, 0.16), 0.55, 1.5)),
    )
