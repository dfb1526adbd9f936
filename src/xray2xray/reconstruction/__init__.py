"""Views back to a volume: OS-SART, CGLS, FDK; a lifted state that further views correct."""

from .reconstruct import Reconstruction, centred_affine, reconstruct

__all__ = ["Reconstruction", "centred_affine", "reconstruct"]
