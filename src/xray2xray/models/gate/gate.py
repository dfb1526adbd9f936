"""The trained gate: grey values of a picture in, `Quality` out."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...io.model_folder import part_and_config
from .network import ANSWERS, TURNS, GateConfig, GateNetwork, ranks
from .quality import Quality

PART = "gate"
_UPRIGHT = [turn for turn, (_, degrees) in enumerate(TURNS) if degrees == 0]
_PLAIN = 0.004  # of the range of grey values: one step of 8 bits


class Gate:
    """Grey values come as (h, h), dense bright, on any scale; how dense is told from their order alone."""

    def __init__(self, network: GateNetwork, notes: dict[str, Any] | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.notes = notes or {}

    @classmethod
    def from_pretrained(cls, folder: str | Path = "gate") -> "Gate":
        """The packaged gate, or that of a folder that `experiments.gate.train` made.

        Raises:
            InputError: there is none, or a file is missing, damaged or has the wrong sha256.
        """
        lacking = "gate; train one with python -m xray2xray.experiments.gate.train"
        network, config = part_and_config(folder, PART, GateNetwork, GateConfig, lacking)
        return cls(network, config.get("training"))

    @torch.no_grad()
    def __call__(self, gray: np.ndarray) -> Quality:
        """What is to be said of a picture (h, h).

        Raises:
            InputError: not square, or values that are not finite.
        """
        x = ranks(gray, self.network.config.size)
        found = self.network(x)[0]
        answers = {name: float(p) for name, p in zip(ANSWERS, torch.sigmoid(found[: len(ANSWERS)]), strict=True)}
        turns = torch.softmax(found[len(ANSWERS) :], 0)
        upright = float(turns[_UPRIGHT].sum())
        by_degrees = {d: sum(float(p) for p, (_, one) in zip(turns, TURNS, strict=True) if one == d) for _, d in TURNS}
        unlike, percentile = self.network.unlike(x)
        return Quality(
            **answers,
            turned=1 - upright,
            degrees=max(by_degrees, key=lambda degrees: by_degrees[degrees]),
            mirrored=float(turns[_UPRIGHT[1]]) / max(upright, 1e-6),
            unlike=unlike,
            percentile=percentile,
            clipped=clipped(gray),
        )


@cache
def packaged() -> Gate:
    """The packaged gate, read once."""
    return Gate.from_pretrained()


def clipped(gray: np.ndarray) -> float:
    """Share of the middle 60 % of a picture (h, h), each way, that is as dark or as bright as the picture gets."""
    low, high = float(gray.min()), float(gray.max())
    n = len(gray)
    middle = np.asarray(gray[n // 5 : n - n // 5, n // 5 : n - n // 5], np.float64)
    plain = _PLAIN * (high - low)
    return float(np.mean((middle <= low + plain) | (middle >= high - plain)))
