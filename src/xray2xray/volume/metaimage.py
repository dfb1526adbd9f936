"""MetaImage files (ITK, elastix, challenge data) to `Volume`.

Our own small reader: the libraries that read MetaImage (SimpleITK, ITK) are large, and the format is a text header
before raw or zlib-compressed voxels; https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

import math
import zlib
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..core.limits import MAX_VOXELS, check_size
from .volume import Volume, measured

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_ALIKE = {
    "position": "offset", "origin": "offset", "rotation": "transformmatrix", "orientation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb", "elementsize": "elementspacing",
}  # fmt: skip
_MAX_HEADER = 65536


def read_metaimage(path: str | Path) -> Volume:
    """Read one 3D image in HU from `.mha`, or from `.mhd` with its data file beside it.

    Coordinates are the patient's LPS in mm, as ITK writes them; the voxel axes stay as the file has them. NaN means not
    measured and becomes air.

    Raises:
        InputError: not a MetaImage, cut short, another number of axes, text or a list of files, too large.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        header, start = _header(raw, path)
        shape, kind = _shape(header, path)
        affine = _affine(header, path)
        return Volume(measured(_voxels(raw, start, header, shape, kind, path), str(path)), affine, path.name)
    except (OSError, ValueError, KeyError, zlib.error) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{path}: not a MetaImage, or damaged or cut short ({reason}); copy it again") from error


def _header(raw: bytes, path: Path) -> tuple[dict[str, str], int]:
    """Keys in small letters without spaces, and where the header ends: after ElementDataFile."""
    header: dict[str, str] = {}
    at = 0
    while at < min(len(raw), _MAX_HEADER):
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        key, sign, value = raw[at:end].decode("latin-1").partition("=")
        at = end + 1
        key = key.strip().lower().replace(" ", "")
        if not sign or len(key) > 40:
            break
        header[_ALIKE.get(key, key)] = value.strip()
        if key == "elementdatafile":
            return header, at
    raise InputError(f"{path}: not a MetaImage, or damaged (no ElementDataFile in its header); copy it again")


def _shape(header: dict[str, str], path: Path) -> tuple[tuple[int, int, int], str]:
    sizes = [int(size) for size in header["dimsize"].split()]
    if len(sizes) != 3 or min(sizes) < 1 or int(header.get("elementnumberofchannels", "1")) != 1:
        raise InputError(f"{path}: DimSize {header['dimsize']}, not one 3D scan of single values; give one 3D scan")
    check_size(math.prod(map(int, sizes)), MAX_VOXELS, "voxels", path, "resample it, 1 mm is enough")
    kind = header.get("elementtype", "")
    if kind not in _TYPES or header.get("binarydata", "True").lower() != "true":
        raise InputError(f"{path}: voxels are {kind or 'of no type'}, not binary numbers; save it as .nii.gz")
    order = ">" if header.get("binarydatabyteordermsb", "False").lower() == "true" else "<"
    return (sizes[0], sizes[1], sizes[2]), order + _TYPES[kind]


def _affine(header: dict[str, str], path: Path) -> np.ndarray:
    """Index -> RAS mm. TransformMatrix holds the direction of each axis, one after the other."""
    if "elementspacing" not in header:
        raise InputError(f"{path}: no ElementSpacing in its header; save it with voxel sizes, or as .nii.gz")
    spacing = _floats(header, "elementspacing", 3)
    directions = _floats(header, "transformmatrix", 9, "1 0 0 0 1 0 0 0 1").reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = directions.T * spacing
    affine[:3, 3] = _floats(header, "offset", 3, "0 0 0")
    affine[:3] = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    return affine


def _floats(header: dict[str, str], key: str, count: int, default: str = "") -> np.ndarray:
    found = np.array([float(word) for word in header.get(key, default).split()])
    if len(found) != count:
        raise ValueError(f"{key} has {len(found)} numbers, not {count}")
    return found


def _voxels(
    raw: bytes, start: int, header: dict[str, str], shape: tuple[int, int, int], kind: str, path: Path
) -> np.ndarray:
    named, skip = header["elementdatafile"], int(header.get("headersize", "0"))
    if named.upper() == "LOCAL":
        data = raw[start:]
    elif Path(named).name != named or named.upper() == "LIST" or "%" in named:
        raise InputError(f"{path}: its ElementDataFile is {named[:80]}; put one file beside it, or save it as .mha")
    else:
        data = (path.parent / named).read_bytes()
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    if header.get("compresseddata", "False").lower() == "true":
        data = zlib.decompressobj().decompress(data[max(skip, 0) :], size)
    elif skip:
        data = data[-size:] if skip < 0 else data[skip:]
    if len(data) < size:
        raise ValueError(f"{len(data)} bytes of voxels, {size} are needed")
    return np.frombuffer(data, kind, int(np.prod(shape))).reshape(shape, order="F")
