"""A volume and a pose to an X-ray view.

What needs torch is left out here, so that projecting does not import it: `differentiable.project_tensor` for gradients,
`reference.project_torch` for other devices.
"""

from .detector import detect
from .forward import backproject, project
from .geometry import NAMED_VIEWS, PRESETS, STANDARD_ARC, Geometry, Pose, preset
from .render import render
from .valid import valid_rays

__all__ = [
    "NAMED_VIEWS",
    "PRESETS",
    "STANDARD_ARC",
    "Geometry",
    "Pose",
    "backproject",
    "detect",
    "preset",
    "project",
    "render",
    "valid_rays",
]
