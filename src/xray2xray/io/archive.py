"""Zip archives from outside: the one place where they are opened. Members are read into memory, never unpacked to disk.

Refused are members that would lie outside of the archive's folder, links, encrypted members, and bombs: by what the
directory promises, and by what really comes out.
"""

import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import InputError, reading
from ..core.limits import MAX_MEMBERS, MAX_UNPACKED_BYTES, check_ratio


@contextmanager
def opened_zip(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """An archive that may be read with `read_member`.

    Raises:
        InputError: it is no zip, too large when unpacked, or holds a member that leads out of it, a link or a password.
    """
    with reading(path, "cannot be read as a zip"):
        archive = zipfile.ZipFile(path)
    with archive:
        items = archive.infolist()
        if len(items) > MAX_MEMBERS:
            raise InputError(f"{path}: holds {len(items):,} files, more than {MAX_MEMBERS:,}; give one scan")
        for item in items:
            _check_member(item, path)
        size = sum(item.file_size for item in items)
        if size > MAX_UNPACKED_BYTES:
            raise InputError(f"{path}: unpacks to {size / 2**30:,.1f} GiB, more than 4; give a zip with one chest CT")
        check_ratio(size, Path(path).stat().st_size, path)
        yield archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes: what the directory promises, or an error.

    Raises:
        InputError: damaged, or it unpacks to more than the directory says.
    """
    with reading(f"{archive.filename}: {name}", "damaged or cut short"):
        item = archive.getinfo(name)
        with archive.open(item) as stream:
            parts = list(iter(lambda: stream.read(2**20), b""))  # in parts: what is unpacked at once is bounded
        data = b"".join(parts)
        if len(data) != item.file_size:
            raise ValueError(f"{len(data)} bytes instead of {item.file_size}")
        return data


def _check_member(item: zipfile.ZipInfo, path: str | Path) -> None:
    name = item.filename.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/") or "\0" in item.orig_filename:
        raise InputError(f"{path}: its member {item.filename!r} leads out of the archive; pack the scan again")
    if stat.S_ISLNK(item.external_attr >> 16):
        raise InputError(f"{path}: its member {item.filename!r} is a link; pack the files themselves")
    if item.flag_bits & 1:
        raise InputError(f"{path}: its member {item.filename!r} is encrypted; unpack it and give the folder")
