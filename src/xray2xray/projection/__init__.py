"""A volume and a pose to an X-ray view, and views back to a volume.

What needs torch is left out here, so that projecting does not import it: `differentiable.project_tensor` for gradients,
`reference.project_torch` for other devices.
"""

from .detector import detect
from .forward import backproject, project
from .geometry import NAMED_VIEWS, PRESETS, STANDARD_ARC, Geometry, Pose, preset
from .reconstruct import Reconstruction, reconstruct
from .render import render
from .valid import valid_rays

__all__ = [
    "NAMED_VIEWS",
    "PRESETS",
    "STANDARD_ARC",
    "Geometry",
    "Pose",
    "Reconstruction",
    "backproject",
    "detect",
    "preset",
    "project",
    "reconstruct",
    "render",
    "valid_rays",
]
