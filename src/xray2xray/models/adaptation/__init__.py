"""Real radiographs and simulated views, brought nearer to each other: images to images.

Two ways: `randomise` makes training inputs look like anything a radiograph may look like (the default), an `Adapter`
makes a radiograph look like a simulated view (a CycleGAN, the paper's way).
"""

from .adapter import Adapter
from .appearance import Appearance, randomise
from .generator import AdapterConfig, Generator

__all__ = ["Adapter", "AdapterConfig", "Appearance", "Generator", "randomise"]
