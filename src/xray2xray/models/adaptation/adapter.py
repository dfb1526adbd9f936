"""A trained generator: a radiograph on the networks' frame and scale in, a view of the simulated domain out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.errors import InputError
from ...io.model_folder import part_and_config
from ..vision.normalise import from_network, to_network
from .generator import AdapterConfig, Generator

PART = "adapter"


class Adapter:
    """Views come and go as line integrals p, numpy float32 (size, size), as `normalise_radiograph` gives them."""

    def __init__(self, generator: Generator, notes: dict[str, Any] | None = None) -> None:
        self.generator = generator.eval().requires_grad_(False)
        self.notes = notes or {}

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> "Adapter":
        """The adapter in a folder that `experiments.adaptation.train` made, or the packaged one, `cyclegan`.

        Raises:
            InputError: there is none, or a file is missing, damaged or has the wrong sha256.
        """
        lacking = "adapter; train one with python -m xray2xray.experiments.adaptation.train"
        generator, config = part_and_config(folder, PART, Generator, AdapterConfig, lacking)
        return cls(generator.to(device), config.get("adaptation"))

    @property
    def size(self) -> int:
        """Pixels along the side of a view."""
        return self.generator.config.size

    @torch.no_grad()
    def __call__(self, view_p: np.ndarray) -> np.ndarray:
        """The view as the simulator would show it, p, float32 (size, size).

        Raises:
            InputError: another size, or values that are not finite.
        """
        view_p = np.array(view_p, np.float32)  # a copy: what Pillow lends may not be written to
        if view_p.shape != (self.size, self.size) or not np.isfinite(view_p).all():
            raise InputError(f"this adapter takes views of {self.size} x {self.size} finite values, got {view_p.shape}")
        device = next(self.generator.parameters()).device
        x = to_network(torch.from_numpy(view_p))[None, None].to(device)
        return from_network(self.generator(x))[0, 0].cpu().numpy()
