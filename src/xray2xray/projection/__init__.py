"""A volume and a pose to an X-ray view, and views back to a volume."""

from .forward import project
from .geometry import NAMED_VIEWS, PRESETS, STANDARD_ARC, Geometry, Pose, preset
from .render import render

__all__ = ["NAMED_VIEWS", "PRESETS", "STANDARD_ARC", "Geometry", "Pose", "preset", "project", "render"]
