"""Arrays from .npz files, without pickle and without believing their headers."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from ..core.errors import reading
from .archive import opened_zip

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(
    path: str | Path, what: str = "is damaged", remedy: str = "copy it again", names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of a file, by name; those of `names` only, as far as they are there.

    Raises:
        InputError: it is missing, damaged, a decompression bomb, or holds objects that only pickle could make; `what`
            is wrong then, and `remedy` what to do.
    """
    with reading(path, what, remedy), opened_zip(path, what, remedy) as archive:
        there = [one.removesuffix(".npy") for one in archive.names() if one.endswith(".npy")]
        return {name: _array(archive.read(f"{name}.npy")) for name in there if names is None or name in names}


def _array(data: bytes) -> np.ndarray:
    """An array as long as its data: `numpy.load` takes the memory that the header asks for first."""
    stream = io.BytesIO(data)
    shape, fortran, dtype = _HEADERS[npy.read_magic(stream)](stream)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects")
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError(f"an array {shape} of {dtype} does not have {len(data) - stream.tell()} bytes")
    array = np.frombuffer(bytearray(data), dtype, math.prod(shape), stream.tell())  # a bytearray: it may be written to
    return array.reshape(shape, order="F" if fortran else "C")
