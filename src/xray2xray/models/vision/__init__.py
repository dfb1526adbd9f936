"""V, the vision model: a view becomes a small grid of latents and discrete tokens, and those become a view again."""

from .normalise import from_network, to_network
from .vqgan import VisionConfig, VisionModel

__all__ = ["VisionConfig", "VisionModel", "from_network", "to_network"]
