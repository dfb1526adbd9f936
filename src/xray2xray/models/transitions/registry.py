"""The forms of M, by name. A new form is a network, an objective and a line here."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from ..vision.vqgan import VisionConfig, VisionModel
from .autoregressive import AutoregressiveConfig, AutoregressiveTransition
from .base import Transition
from .direct import DirectConfig, DirectTransition
from .sampler import DirectSampler, SamplerConfig
from .volumetric import VolumetricConfig, VolumetricTransition


@dataclass(frozen=True)
class Part:
    """A network that is trained in a stage of its own and has a file of its own in a model's folder.

    Attributes:
        network: built from one `config`, which it keeps as `config`.
        objective: where its `training.objective.Objective` is, which also says how it is trained (`settings`).
        after: the part it is trained on top of: V for a form of M, a form for its sampler.
    """

    config: type[Any]
    network: type[nn.Module]
    objective: str
    after: str | None = "vision"


_OBJECTIVES = "xray2xray.training.objectives"
PARTS = {
    "vision": Part(VisionConfig, VisionModel, f"{_OBJECTIVES}.vision.VisionObjective", None),
    "volumetric": Part(VolumetricConfig, VolumetricTransition, f"{_OBJECTIVES}.volumetric.VolumetricObjective"),
    "direct": Part(DirectConfig, DirectTransition, f"{_OBJECTIVES}.direct.DirectObjective"),
    "sampler": Part(SamplerConfig, DirectSampler, f"{_OBJECTIVES}.sampler.SamplerObjective", "direct"),
    "autoregressive": Part(
        AutoregressiveConfig, AutoregressiveTransition, f"{_OBJECTIVES}.autoregressive.AutoregressiveObjective"
    ),
}


def forms() -> tuple[str, ...]:
    """The names of all forms of M."""
    return tuple(name for name, part in PARTS.items() if part.after == "vision")


def sampler_of(form: str) -> str | None:
    """The name of a form's sampler; None if it has none of its own."""
    return next((name for name, part in PARTS.items() if part.after == form), None)


def form_of(transition: Transition) -> str:
    """The name under which a network is registered."""
    return next(name for name, part in PARTS.items() if part.network is type(transition))
