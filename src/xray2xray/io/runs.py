"""What every verb does around its work: look at the inputs, make the output folder, keep the settings there."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import InputError, UsageError
from ..core.version import VERSION
from .files import prepare_out, write_text

CONFIG = "config.yaml"
T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def run_folder(out: str | Path, overwrite: bool, verb: str, options: Mapping[str, Any]) -> Iterator[Path]:
    """The output folder of a run, with the run's resolved settings in `config.yaml`.

    `xray2xray VERB --config config.yaml` repeats the run. A run that fails before it has written anything leaves no
    folder behind, so that the corrected command is not refused.

    Raises:
        UsageError: as `files.prepare_out`, or an input lies inside the folder that would be emptied.
        InputError: an input does not exist (found before anything is removed).
    """
    check_inputs(as_paths(options.get("inputs", ())), out)
    folder = prepare_out(out, overwrite)
    write_config(folder / CONFIG, verb, options)
    with gone_if_empty(folder):
        yield folder


@contextmanager
def gone_if_empty(folder: Path) -> Iterator[None]:
    """A block that fails, or is interrupted, before it has written more than the settings leaves no folder behind."""
    try:
        yield
    except BaseException:
        config = folder / CONFIG
        if folder.is_dir() and all(path == config for path in folder.iterdir()):
            config.unlink(missing_ok=True)
            folder.rmdir()
        raise


def as_paths(inputs: str | Path | Sequence[str | Path]) -> list[Path]:
    """One path or several as a list: `rotate("scan.nii.gz", ...)` is meant as it looks."""
    return [Path(inputs)] if isinstance(inputs, str | Path) else [Path(item) for item in inputs]


def check_inputs(inputs: Iterable[str | Path], out: str | Path | None = None) -> None:
    """Raise InputError for an input that does not exist, UsageError for one inside `out`."""
    for item in map(Path, inputs):
        if not item.exists():
            raise InputError(f"{item}: there is no such file or folder")
        if out is None or not item.resolve().is_relative_to(Path(out).resolve()):
            continue
        if item.is_file() and item.resolve() == Path(out).resolve():
            raise UsageError(f"--out {out} is the input itself; choose another --out")
        raise UsageError(f"input {item} lies inside the output folder {out}; choose another --out")


def write_config(path: Path, verb: str, options: Mapping[str, Any]) -> None:
    """Keep the settings of a run as YAML that `--config` reads back."""
    import yaml

    text = yaml.safe_dump(_plain(options), sort_keys=False, allow_unicode=True, width=100)
    head = f"# xray2xray {VERSION}; to run this again: xray2xray {verb} --config {path.name}"
    write_text(path, f"{head}\n{text}")


def _plain(value: Any) -> Any:
    """Paths as text, tuples as lists: what YAML can say without tags."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def each(items: Sequence[T], work: Callable[[T], R], name: Callable[[T], str] = str) -> tuple[list[R], dict[str, str]]:
    """Do `work` on every item; one that cannot be used is reported and the rest goes on.

    Returns:
        the results, and what was wrong with the items that failed, by name.

    Raises:
        InputError: no item could be used.
    """
    results: list[R] = []
    failed: dict[str, str] = {}
    for item in items:
        try:
            results.append(work(item))
        except UsageError:
            raise
        except Exception as error:  # a damaged file can fail in any library, and the others must not pay for it
            if len(items) == 1:
                raise
            reason = str(error) if isinstance(error, InputError | OSError) else f"{type(error).__name__}: {error}"
            failed[name(item)] = reason = " ".join(reason.split())
            said = reason if reason.startswith(name(item)) else f"{name(item)}: {reason}"
            print(f"xray2xray: left out {said}", file=sys.stderr, flush=True)
    if items and not results:
        raise InputError(f"none of the {len(items)} inputs could be used; each is named above with what is wrong")
    return results, failed


def say(text: str = "") -> None:
    """One line for the person who waits."""
    print(text, flush=True)


def pick_device(device: str) -> str:
    """`auto` becomes `cuda` where there is one, else `cpu`; a device that is not there is refused.

    Raises:
        UsageError: torch does not know the device, or this machine does not have it.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"--device {device} is not available on this machine; use auto, cpu or cuda") from None
    return device
