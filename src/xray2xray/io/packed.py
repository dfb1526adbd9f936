"""What compressed data from outside unpacks to, counted in small parts before a library unpacks it at once."""

import bz2
import zlib
from typing import BinaryIO, Literal

from ..core.limits import check_ratio

Packing = Literal["deflate", "gzip", "bzip2"]
_PART = 2**24  # bytes that are unpacked at once
_WINDOW = {"deflate": -zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS + 16}


def check_unpacked(stream: BinaryIO, packing: Packing, where: object) -> None:
    """Raise InputError for the rest of a stream that unpacks to a bomb; of damaged data the reader has to speak."""
    packed = stream.read()
    size = 0
    try:
        if packing == "bzip2":
            unpacker = bz2.BZ2Decompressor()
            rest = packed
            while not unpacker.eof and (rest or not unpacker.needs_input):
                size += len(unpacker.decompress(rest, _PART))
                rest = b""
                check_ratio(size, len(packed), where)
            return
        inflater, rest = zlib.decompressobj(_WINDOW[packing]), packed
        while rest and not inflater.eof:
            size += len(inflater.decompress(rest, _PART))
            rest = inflater.unconsumed_tail
            check_ratio(size, len(packed), where)
    except (zlib.error, OSError, EOFError):
        return
