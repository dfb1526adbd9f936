"""Is this picture a frontal chest radiograph, and how was it taken? Asked before the world model sees it."""

from .gate import Gate
from .quality import Quality

__all__ = ["Gate", "Quality"]
