"""What a person may give to the model, a chest CT or a chest radiograph, as the one thing the model takes: a frontal view."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .errors import InputError
from .projection.geometry import STANDARD_ARC, Geometry
from .volume.volume import Volume

View = Literal["pa", "ap", "auto"]
_ENDINGS = (".nii.gz", ".nii", ".zip", ".dcm", ".dicom", ".png", ".jpg", ".jpeg")


def study_names(paths: Iterable[str | Path]) -> dict[str, Path]:
    """A name for each input that is also a safe file name; two inputs called alike are told apart by a number.

    The names depend on the order of the inputs only where two are called alike.
    """
    names: dict[str, Path] = {}
    for path in map(Path, paths):
        stem = base = study_name(path)
        number = 2
        while stem in names:
            stem = f"{base}-{number}"
            number += 1
        names[stem] = path
    return names


def study_name(path: str | Path) -> str:
    """The file's name without its ending, with everything but letters, digits, '.', '_' and '-' made a '-'."""
    path = Path(path)
    name = path.name or path.resolve().name
    for ending in _ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
            break
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    return name[:100] or "study"
