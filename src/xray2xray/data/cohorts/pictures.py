"""The pictures below a folder by a key that their names give: releases in parts, in one folder, or beside copies."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from PIL import Image

from ...core.errors import InputError, reading
from ...io.files import files_below

log = logging.getLogger(__name__)

_ENDINGS = (".png", ".jpg", ".jpeg", ".dcm")


class Pictures:
    """The pictures below a folder.

    Of several with one key that is taken which is called as the table says, then the largest, then the one that lies
    as in the release. A warning says so once.
    """

    def __init__(
        self, folder: Path, key: Callable[[str], str | None], released: Callable[[str], bool] = lambda _: False
    ) -> None:
        """`key` of a path relative to the folder, with slashes; None of what is no picture of the cohort.

        `released` says of such a path whether the release has its pictures there.
        """
        self.folder, self._released = folder, released
        self._found: dict[str, list[Path]] = {}
        self._used: set[str] = set()
        self._warned = False
        for path in files_below(folder):
            if path.suffix.lower() not in _ENDINGS:
                continue
            if (name := key(path.relative_to(folder).as_posix())) is not None:
                self._found.setdefault(name, []).append(path)

    def find(self, key: str, name: str) -> Path:
        """The picture of a key, called `name` in the table.

        Raises:
            InputError: there is none, or two different ones.
        """
        self._used.add(key)
        found = self._found.get(key, [])
        found = [path for path in found if path.name == name] or found
        if not found:
            raise InputError("labels without an image")
        return found[0] if len(found) == 1 else self._original(found)

    def _original(self, paths: Iterable[Path]) -> Path:
        sizes = {path: _pixels(path) for path in paths}
        largest = [path for path, size in sizes.items() if size == max(sizes.values())]
        if len({_sha256(path) for path in largest}) > 1:
            released = [path for path in largest if self._released(path.relative_to(self.folder).as_posix())]
            if len(released) != 1:
                names = " and ".join(str(path.relative_to(self.folder)) for path in largest[:2])
                raise InputError(f"two different pictures have its name, {names}; take one out of the folder")
            largest = released
        if not self._warned:
            other = next(path for path in sizes if path != largest[0])
            log.warning("%s: pictures have copies; the largest is taken: %s, not %s", self.folder, largest[0], other)
            self._warned = True
        return largest[0]

    def without_labels(self) -> Mapping[str, str]:
        """The pictures that no row asked for, with that reason."""
        keys = (key for key in self._found if key not in self._used)
        return {str(self._found[key][0]): "an image without a row in the table" for key in keys}


def _pixels(path: Path) -> int:
    """Of a picture that cannot be opened 0."""
    try:
        with reading(path, "no picture"), Image.open(path) as image:
            return image.width * image.height
    except InputError:
        return 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
