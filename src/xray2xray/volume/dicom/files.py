"""The files of a folder with all folders below it, of a zip, or one file alone, each by its name in there."""

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from ...core.errors import InputError
from ...core.limits import MAX_MEMBERS
from ...io.archive import Archive


class FolderFiles:
    """Every file under a folder by its path relative to it; linked folders are followed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        found = sorted(str(file.relative_to(self.root)) for file in _below(self.root, ()))
        if len(found) > MAX_MEMBERS:
            raise InputError(f"{self.root}: {len(found):,} files below it, more than {MAX_MEMBERS:,}; give one scan")
        return found

    def open(self, name: str) -> BinaryIO:
        return (self.root / name).open("rb")


class OneFile:
    """A file alone."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def names(self) -> list[str]:
        return [self.file.name]

    def open(self, name: str) -> BinaryIO:
        return self.file.open("rb")


class ZipFiles:
    """Every file in an open zip, which is read without unpacking it."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def names(self) -> list[str]:
        return [name for name in self.archive.names() if _counts(name)]

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(self.archive.read(name))


class ListedFiles:
    """Files wherever they lie, each by its path."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.paths = [str(path) for path in paths]

    def names(self) -> list[str]:
        return sorted(self.paths)

    def open(self, name: str) -> BinaryIO:
        return Path(name).open("rb")


Files = FolderFiles | OneFile | ZipFiles | ListedFiles


def _below(folder: Path, above: tuple[Path, ...]) -> list[Path]:
    """Files in and below a folder.

    Raises:
        InputError: a link leads back to a folder above it.
    """
    place = folder.resolve()
    if place in above:
        raise InputError(f"{folder}: a link that leads back to a folder above it; remove the link")
    found: list[Path] = []
    for entry in os.scandir(folder):
        if entry.is_dir():
            found += _below(Path(entry.path), (*above, place))
        elif _counts(entry.name) and (entry.is_file() or entry.is_symlink()):  # a broken link is a file that is lost
            found.append(Path(entry.path))
    return found


def _counts(name: str) -> bool:
    """Not what macOS puts beside a file of its own accord (AppleDouble)."""
    parts = Path(name).parts
    return "__MACOSX" not in parts and not parts[-1].startswith("._")
