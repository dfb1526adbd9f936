"""Zip archives from outside: the one place where they are opened. Members are read into memory, never unpacked to disk.

Refused are members that would lie outside of the archive's folder, links, encrypted members, and bombs: by what the
directory promises, and by what really comes out.
"""

import io
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import InputError, reading
from ..core.limits import MAX_MEMBERS, MAX_UNPACKED_BYTES, check_ratio


class Archive:
    """An open zip that was found safe: names of its files, and their bytes."""

    def __init__(self, archive: zipfile.ZipFile, where: object, remedy: str) -> None:
        self._archive, self._where, self._remedy = archive, where, remedy

    def names(self) -> list[str]:
        return sorted({item.filename for item in self._archive.infolist() if not item.is_dir()})

    def read(self, name: str) -> bytes:
        """What the directory promises of a file, or InputError: it is damaged, or unpacks to more."""
        with reading(f"{self._where}: {name}", "damaged or cut short", self._remedy):
            item, parts, size = self._archive.getinfo(name), [], 0
            with self._archive.open(item) as stream:
                while part := stream.read(2**20):  # in parts: what is unpacked at once is bounded
                    parts.append(part)
                    size += len(part)
            if size != item.file_size:
                raise ValueError(f"{size} bytes instead of {item.file_size}")
            return b"".join(parts)


@contextmanager
def opened_zip(
    path: str | Path, what: str = "cannot be read as a zip", remedy: str = "copy it again"
) -> Iterator[Archive]:
    """An archive, checked before anything is unpacked; `what` is wrong if it is none, and `remedy` what to do.

    Raises:
        InputError: it is no zip, too large when unpacked, or holds a member that leads out of it, a link or a password.
    """
    with reading(path, what, remedy):
        archive = zipfile.ZipFile(path)
    with archive:
        items = archive.infolist()
        if len(items) > MAX_MEMBERS:
            raise InputError(f"{path}: holds {len(items):,} files, more than {MAX_MEMBERS:,}; give one scan")
        for item in items:
            _check_member(item, path)
        size = sum(item.file_size for item in items)
        if size > MAX_UNPACKED_BYTES:
            most = MAX_UNPACKED_BYTES / 2**30
            raise InputError(f"{path}: unpacks to {size / 2**30:,.1f} GiB, more than {most:g}; give one chest CT")
        check_ratio(size, Path(path).stat().st_size, path)
        yield Archive(archive, path, remedy)


def new_zip(path: Path) -> zipfile.ZipFile:
    """An archive to write into, without compression."""
    return zipfile.ZipFile(path, "w")


def packed_zip(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files, by their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _check_member(item: zipfile.ZipInfo, path: str | Path) -> None:
    name = item.filename.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/") or "\0" in item.orig_filename:
        raise InputError(f"{path}: its member {item.filename!r} leads out of the archive; pack the scan again")
    if stat.S_ISLNK(item.external_attr >> 16):
        raise InputError(f"{path}: its member {item.filename!r} is a link; pack the files themselves")
    if item.flag_bits & 1:
        raise InputError(f"{path}: its member {item.filename!r} is encrypted; unpack it and give the folder")
