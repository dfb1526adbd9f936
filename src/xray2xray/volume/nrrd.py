"""NRRD files (3D Slicer, teem) to `Volume`."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.limits import MAX_VOXELS, check_size
from ..io.packed import Packing, check_unpacked
from .volume import Volume, measured

_LPS, _RAS, _LAS = (-1.0, -1.0, 1.0), (1.0, 1.0, 1.0), (-1.0, 1.0, 1.0)
_TO_RAS = {
    "left-posterior-superior": _LPS, "lps": _LPS, "right-anterior-superior": _RAS, "ras": _RAS,
    "left-anterior-superior": _LAS, "las": _LAS,
}  # fmt: skip
_PACKED: dict[str, Packing] = {"gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
_MM = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "µm": 0.001}


def read_nrrd(path: str | Path) -> Volume:
    """Read one 3D image in HU from `.nrrd`, or from `.nhdr` with its data file beside it.

    The voxel axes stay as the file has them. NaN means not measured and becomes air.

    Raises:
        InputError: not a NRRD file, cut short, another number of axes, no patient space, too large.
    """
    import nrrd  # 20 ms that only readers of NRRD need

    path = Path(path)
    try:
        with path.open("rb") as stream:
            header = nrrd.read_header(stream)
            affine = _affine(header, path)
            _check_data_file(header, path)
            if header.get("encoding") in _PACKED and "data file" not in header and "datafile" not in header:
                check_unpacked(stream, _PACKED[header["encoding"]], path)
            data, _ = nrrd.read(str(path))
    except InputError:
        raise
    except Exception as error:  # nrrd.NRRDError, and what zlib, numpy and the parser raise on damaged files
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{path}: not a NRRD file, or damaged or cut short ({reason}); copy it again") from error
    return Volume(measured(data, str(path)), affine, path.name)


def _affine(header: dict[str, Any], path: Path) -> np.ndarray:
    """Index -> RAS mm, from `space`, `space directions` and `space origin`."""
    sizes = np.asarray(header.get("sizes", ()))
    if len(sizes) != 3 or header.get("type") == "block":
        raise InputError(f"{path}: holds {len(sizes)} axes (sizes {sizes.tolist()}); give one 3D scan")
    check_size(math.prod(map(int, sizes)), MAX_VOXELS, "voxels", path, "resample it, 1 mm is enough")
    space = str(header.get("space", "")).lower()
    directions, origin = header.get("space directions"), header.get("space origin")
    if space not in _TO_RAS or directions is None or origin is None:
        raise InputError(
            f"{path}: no place in the patient (space {space or 'missing'}; space directions and space origin are "
            "needed); save it from the original with them, or as .nii.gz"
        )
    units = {str(unit).lower() for unit in header.get("space units", ())} or {"mm"}
    if len(units) != 1 or not units <= _MM.keys():
        raise InputError(f"{path}: space units are {', '.join(sorted(units))}; give it in mm")
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions, np.float64).T
    affine[:3, 3] = np.asarray(origin, np.float64)
    affine[:3] = np.diag(_TO_RAS[space]) @ affine[:3] * _MM[units.pop()]
    return affine


def _check_data_file(header: dict[str, Any], path: Path) -> None:
    """A header names its data file: only one beside it is read."""
    named = header.get("data file", header.get("datafile"))
    if named is not None and (not isinstance(named, str) or Path(named).name != named):
        raise InputError(f"{path}: its data file is {str(named)[:80]}; put one file beside it, or save it as .nrrd")
