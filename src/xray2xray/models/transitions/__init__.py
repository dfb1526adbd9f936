"""M, the transition model: views from other poses, by one of several forms behind one contract (`base`, `registry`)."""

from .autoregressive import AutoregressiveConfig, AutoregressiveTransition
from .base import LatentViews, Noise, Observation, PixelViews, State, TokenViews, Transition, Views
from .direct import DirectConfig, DirectTransition
from .registry import forms
from .sampler import DirectSampler, SamplerConfig

__all__ = [
    "AutoregressiveConfig",
    "AutoregressiveTransition",
    "DirectConfig",
    "DirectSampler",
    "DirectTransition",
    "LatentViews",
    "Noise",
    "Observation",
    "PixelViews",
    "SamplerConfig",
    "State",
    "TokenViews",
    "Transition",
    "Views",
    "forms",
]
