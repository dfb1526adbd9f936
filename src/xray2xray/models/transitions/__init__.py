"""M, the transition model: the view after an action, in the paper's form and in a direct one, behind one roll-out."""

from .action import Action
from .autoregressive import AutoregressiveConfig, AutoregressiveTransition
from .direct import DirectConfig, DirectTransition
from .rollout import Transition, roll_out
from .sampler import DirectSampler, SamplerConfig

__all__ = [
    "Action",
    "AutoregressiveConfig",
    "AutoregressiveTransition",
    "DirectConfig",
    "DirectSampler",
    "DirectTransition",
    "SamplerConfig",
    "Transition",
    "roll_out",
]
