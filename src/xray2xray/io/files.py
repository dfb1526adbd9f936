"""Writing files so that nothing is lost."""

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import UsageError, is_full

FAILED = "failed.csv"  # in an output folder: what was left out and why
_ADDED = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` with the same suffix; it replaces `path` only if the block succeeds.

    Raises:
        OSError: the disk is full, with the name of the file that is not there (`is_full`).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".nii.gz") else path.suffix
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o666 & ~_umask())  # mkstemp makes private files; the result should be an ordinary one
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if not is_full(error):
            raise
        raise OSError(
            error.errno, f"the disk is full: {path} is not written; make room or choose another --out"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole(folder: Path) -> Iterator[None]:
    """A block that writes into a folder of its own; where the disk is full, nothing is left of it, and that is said."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        shutil.rmtree(folder, ignore_errors=True)
        said = f"the disk is full: {folder} was incomplete and is removed; make room or choose another --out"
        raise OSError(error.errno, said) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: str | Path, content: Any) -> None:
    """Write strict JSON (no NaN or infinity: a reader in another language must be able to open it)."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8, all of it or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, at least one, as a CSV table; the first one's keys are the columns."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write_failed(path: str | Path, failed: Sequence[Mapping[str, str]]) -> None:
    """List what was left out and why as CSV; where nothing was, the list of an earlier run goes."""
    if failed:
        write_csv(path, failed)
    else:
        Path(path).unlink(missing_ok=True)


def write_npz(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as a compressed .npz, whatever the name ends in (numpy appends .npz to a name without it)."""
    import numpy as np

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def files_below(folder: str | Path) -> Iterator[Path]:
    """Every file below a folder, by name; linked folders are followed, each folder is entered once.

    Passed over are hidden files and folders, AppleDouble files among them (._x, which macOS writes beside x on other
    disks), and the folders that archives and servers add (`_ADDED`).
    """
    entered: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from (Path(place, name) for name in sorted(names) if not _is_hidden(name))


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether `files_below(folder)` passes over a path in it."""
    return any(map(_is_hidden, path.relative_to(folder).parts))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _ADDED


def told_apart(names: Iterable[str]) -> list[str]:
    """The names in their order, the second that is called alike as name-2, and so on."""
    taken: dict[str, None] = {}
    for base in names:
        name, number = base, 2
        while name in taken:
            name = f"{base}-{number}"
            number += 1
        taken[name] = None
    return list(taken)


def check_out(out: str | Path, overwrite: bool = False) -> Path:
    """Say whether `prepare_out` would take the output folder, and touch nothing.

    Raises:
        UsageError: `out` or what it lies in is a file, or it is not empty and `overwrite` was not asked for.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; --out wants a folder")
    if not out.exists():
        check_place(out)
    if out.is_dir() and any(out.iterdir()):
        if not overwrite:
            raise UsageError(f"output folder {out} is not empty; choose another --out or pass --overwrite")
        _refuse_precious(out)
    return out


def prepare_out(out: str | Path, overwrite: bool = False) -> Path:
    """Make the output folder, or empty that of an earlier run. Raises as `check_out`."""
    out = check_out(out, overwrite)
    if out.is_dir() and any(out.iterdir()):
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    return out


def check_place(out: Path) -> None:
    """Raise UsageError if `out` would lie in a file, or where we may not write, before anything is done for it."""
    there = next(place for place in out.absolute().parents if place.exists())
    if not there.is_dir():
        raise UsageError(f"--out {out}: {there} is a file, not a folder; choose another --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out}: no permission to write into {there}; choose another --out")


def _refuse_precious(out: Path) -> None:
    """Overwriting empties the folder, so it must be one that a run of ours made."""
    if not any((out / marker).exists() for marker in ("config.yaml", "config.json", "store.json", "report.json")):
        raise UsageError(f"{out} was not written by xray2xray (no config.yaml in it); --overwrite will not empty it")
