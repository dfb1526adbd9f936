"""How a stage of training is set: the size dial, and what a stage makes of it."""

from dataclasses import dataclass
from typing import Any

from ..models.vision.vqgan import VisionConfig
from .steps import LoopConfig


@dataclass(frozen=True)
class Size:
    """V, and the transformers of M: width, attention heads, layers, steps of training.

    `steps` None is for a CPU: every stage has its own, shorter training.
    """

    name: str
    vision: VisionConfig
    dim: int
    heads: int
    layers: int
    steps: int | None


@dataclass(frozen=True)
class Settings:
    """A stage: the configuration of its network, its length and rate, and the settings of its objective."""

    network: Any
    loop: LoopConfig
    training: Any
