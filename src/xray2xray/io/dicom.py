"""DICOM files from outside: the one place where pydicom reads a file or decodes pixels.

A header may promise more than there is memory for, and a deflated data set may unpack to more; both are refused first.
"""

from pathlib import Path
from typing import Any, BinaryIO

import pydicom
import pydicom.pixels
from pydicom.pixels.utils import pixel_array as pixel_array_
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ..core.limits import MAX_PIXELS, MAX_VOXELS, check_size
from .packed import check_unpacked


def dcmread(source: str | Path | BinaryIO, **settings: Any) -> Any:
    """`pydicom.dcmread`, unless the data set is deflated and a bomb."""
    if isinstance(source, str | Path):
        with Path(source).open("rb") as stream:
            _check_deflated(stream, source)
    else:
        _check_deflated(source, "a member")
    return pydicom.dcmread(source, **settings)


def pixel_array(image: Any, where: object = "the image", **settings: Any) -> Any:
    """`pydicom.pixels.pixel_array` of a data set, unless its header promises more pixels than are read."""
    frames = int(image.get("NumberOfFrames", 1) or 1)
    count = int(image.Rows) * int(image.Columns) * max(1, frames)
    most, unit = (MAX_PIXELS, "pixels") if frames <= 1 else (MAX_VOXELS, "voxels")
    check_size(count, most, unit, where, "its header is damaged, or it is no chest: export it again")
    return pixel_array_(image, **settings)


def _check_deflated(stream: BinaryIO, where: object) -> None:
    """Raise InputError for a deflated data set that unpacks to a bomb; the stream stays where it is."""
    start = stream.tell()
    try:
        head = stream.read(4096)
        if head[128:132] != b"DICM" or DeflatedExplicitVRLittleEndian.encode() not in head:
            return
        stream.seek(start)
        at = _data_set_at(stream.read())
        stream.seek(start + at)
        check_unpacked(stream, "deflate", where)
    finally:
        stream.seek(start)


def _data_set_at(data: bytes) -> int:
    """Where the elements of group 2 end; explicit VR, little endian (DICOM PS3.10 7.1)."""
    at = 132
    while data[at : at + 2] == b"\x02\x00":
        long = data[at + 4 : at + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC", b"UR")
        size = data[at + 8 : at + 12] if long else data[at + 6 : at + 8]
        at += (12 if long else 8) + int.from_bytes(size, "little")
    return at
