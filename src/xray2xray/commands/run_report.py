"""`--report FILE.json` of every verb: what was done, from what, to what, what was left out, and how long it took."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core.errors import InputError, UsageError
from ..core.version import VERSION
from ..io.files import check_place, write_json
from .options import as_paths
from .run_folder import plain

KIND = "xray2xray-run"
MOST_FILES = 10_000


@dataclass
class Finished:
    """What the verb returned, if it did."""

    result: Any = field(default=None)


@contextmanager
def reported(path: str | Path | None, verb: str, options: Mapping[str, Any]) -> Iterator[Finished]:
    """Write the report of the block when it ends, also if it fails; nothing where no path is given.

    Raises:
        UsageError: the report cannot be written there, before the block begins.
    """
    finished = Finished()
    if path is None:
        yield finished
        return
    path = _checked(Path(path))
    told: dict[str, Any] = {"kind": KIND, "xray2xray": VERSION, "verb": verb, "options": plain(dict(options))}
    told["started"], start = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    told["inputs"] = [str(one) for one in as_paths(options.get("inputs") or ())]
    try:
        yield finished
        told |= {"done": True, "error": None}
    except BaseException as error:
        told |= {"done": False, "error": " ".join(str(error).split()) or type(error).__name__}
        raise
    finally:
        told["left_out"] = _left_out(finished.result)
        told["outputs"] = _outputs(options.get("out"), path)
        told["seconds"] = round(time.monotonic() - start, 3)
        write_json(path, told)


def _checked(path: Path) -> Path:
    from ..io.text import read_json

    if path.suffix.lower() != ".json" or path.is_dir():
        raise UsageError(f"--report {path}: give the name of a .json file")
    if path.exists():
        try:
            ours = read_json(path).get("kind") == KIND
        except (InputError, AttributeError):
            ours = False
        if not ours:
            raise UsageError(f"--report {path} exists and is no such report; choose another name")
    check_place(path)
    return path


def _left_out(result: Any) -> list[dict[str, str]]:
    """Of the verbs that leave inputs out: which, and why."""
    failed = getattr(result, "failed", None) or ()
    if isinstance(failed, Mapping):
        return [{"input": str(where), "problem": str(why)} for where, why in failed.items()]
    return [{"input": str(one.input or one.case), "problem": str(one.reason)} for one in failed]


def _outputs(out: Any, report: Path) -> list[dict[str, Any]]:
    """The files in an output folder, or an output file with what lies beside it, with their sizes."""
    if out is None:
        return []
    place = Path(out)
    files = place.rglob("*") if place.is_dir() else place.parent.glob(f"{place.name}*") if place.name else ()
    found = (file for file in files if file.is_file() and file != report)
    return [{"file": str(file), "bytes": file.stat().st_size} for file, _ in zip(sorted(found), range(MOST_FILES))]
