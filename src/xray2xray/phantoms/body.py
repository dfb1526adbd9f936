"""The shape of a body: the numbers that outline, cage and organs are built from, drawn with their correlations.

The joint distribution is a Gaussian with limits, kept in `joint_shape.json`. Its means, spreads and correlations were
fitted to real chests by analysis-by-synthesis (`experiments.realism.fit_shape`); what two projections cannot tell
keeps the ranges of textbook anatomy.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

WIDER = 1.15  # spreads against the fitted ones: models trained on patients wider than reality transfer better


@dataclass(frozen=True)
class Body:
    """Lengths in mm, angles in degrees, HU where named so; other numbers are factors around 1."""

    height: float  # scales all lengths
    depth: float  # antero-posterior size of the cage
    width: float
    fat_mm: float  # subcutaneous fat at the flank
    belly: float  # how far the abdomen stands out
    muscle: float
    shoulders: float  # breadth of the girdle
    breast_mm: float
    kyphosis: float
    scoliosis_mm: float
    taper: float  # how much narrower the cage gets towards its apex
    inlet_mm: float  # retrosternal depth at the manubrium
    sternum_mm: float  # how far the sternum bulges forward at mid-lung
    boxiness: float  # exponent of the cage's cross-section
    inspiration_mm: float  # diaphragm down (positive) or up
    dome_gap_mm: float  # right dome above left
    dome_y: float  # where the domes peak: 0 at the back of the cage, 1 at its front
    sulcus_back_mm: float  # how deep the diaphragm falls from its dome to the sulci
    sulcus_side_mm: float
    sulcus_front_mm: float
    heart: float  # its breadth against the normal share of the cage's
    heart_depth: float
    heart_tilt_deg: float
    heart_shift_mm: float
    mediastinum: float
    aorta_mm: float  # radius
    lung_hu: float
    rib_spacing_mm: float
    rib_drop: float
    rib_phase: float
    affine: tuple[tuple[float, ...], ...]  # (3, 3) extra linear deformation, near identity
    warp_mm: float  # amplitude of the smooth random displacement


class JointShape(NamedTuple):
    """A Gaussian with limits over the first numbers of a `Body`: each (n,), `correlation` (n, n)."""

    names: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray
    correlation: np.ndarray


def read_joint_shape(text: str) -> JointShape:
    """From the text of a file such as `joint_shape.json`."""
    stored = json.loads(text)
    numbers = stored["numbers"]
    mean, sd, low, high = np.array([[row[key] for key in ("mean", "sd", "low", "high")] for row in numbers.values()]).T
    return JointShape(tuple(numbers), mean, sd, low, high, np.array(stored["correlation"]))


@cache
def joint_shape() -> JointShape:
    """The distribution that bodies are drawn from."""
    return read_joint_shape(files(__package__).joinpath("joint_shape.json").read_text(encoding="utf-8"))


def sample_shape(rng: np.random.Generator, joint: JointShape, wider: float = WIDER) -> dict[str, float]:
    """One draw of the joint distribution, name -> number."""
    drawn = np.linalg.cholesky(joint.correlation) @ rng.standard_normal(len(joint.names))
    values = np.clip(joint.mean + wider * joint.sd * drawn, joint.low, joint.high)
    return dict(zip(joint.names, values.tolist(), strict=True))


def sample_body(rng: np.random.Generator, female: bool) -> Body:
    """Draw a body. Women are smaller and less muscular on average, and have breasts."""
    numbers = sample_shape(rng, joint_shape())
    numbers["height"] *= 0.965 if female else 1.03
    numbers["muscle"] *= 0.92 if female else 1.07
    numbers["breast_mm"] *= float(female)
    linear = np.eye(3) + 0.02 * rng.standard_normal((3, 3))
    return Body(
        **numbers,
        rib_phase=float(rng.uniform(0, 1)),
        affine=tuple(tuple(float(v) for v in row) for row in linear),
        warp_mm=float(rng.uniform(2, 8)),
    )
