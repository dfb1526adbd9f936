"""Views back to a volume: OS-SART, CGLS, FDK."""

from .reconstruct import Reconstruction, reconstruct

__all__ = ["Reconstruction", "reconstruct"]
