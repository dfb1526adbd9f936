"""Real chest radiographs in, and views as pictures out."""

from .display import radiograph, save_png, to_gray
from .polarity import looks_inverted
from .quantiles import match_quantiles, quantiles_of
from .read import Radiograph, read_radiograph

__all__ = [
    "Radiograph",
    "looks_inverted",
    "match_quantiles",
    "quantiles_of",
    "radiograph",
    "read_radiograph",
    "save_png",
    "to_gray",
]
