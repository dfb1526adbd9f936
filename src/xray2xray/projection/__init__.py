"""A volume and a pose to an X-ray view, and views back to a volume.

`reference.project_torch` (any pose, gradients) is left out here, so that projecting does not import torch.
"""

from .forward import backproject, project
from .geometry import NAMED_VIEWS, PRESETS, STANDARD_ARC, Geometry, Pose, preset
from .reconstruct import Reconstruction, reconstruct
from .render import render

__all__ = [
    "NAMED_VIEWS",
    "PRESETS",
    "STANDARD_ARC",
    "Geometry",
    "Pose",
    "Reconstruction",
    "backproject",
    "preset",
    "project",
    "reconstruct",
    "render",
]
