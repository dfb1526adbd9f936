"""What every verb does around its work: look at the inputs, make the output folder, keep the settings there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.device import pick_device as pick_device
from ..core.errors import InputError, UsageError
from ..core.version import VERSION
from ..parallel.usable import each as each
from .files import prepare_out, write_text

CONFIG = "config.yaml"


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


def say(text: str = "") -> None:
    """One line for the person who waits."""
    print(text, flush=True)
