"""What every verb does around its work: look at the inputs, make the output, keep the settings beside it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ..core.errors import InputError, UsageError
from ..core.version import VERSION
from ..io.files import check_place, prepare_out, write_text
from .options import as_paths, verb_name

CONFIG = "config.yaml"


class Output(Protocol):
    """The options of a verb that writes: a dataclass with these two."""

    @property
    def out(self) -> str | Path: ...

    @property
    def overwrite(self) -> bool: ...


@contextmanager
def run_folder(options: Output) -> Iterator[Path]:
    """The output folder of a run, with the run's options in `config.yaml`.

    `xray2xray VERB --config config.yaml` repeats the run. A run that fails before it has written anything leaves no
    folder behind, so that the corrected command is not refused.

    Raises:
        UsageError: as `files.prepare_out`, or an input lies inside the folder that would be emptied.
        InputError: an input does not exist (found before anything is removed).
    """
    check_inputs(as_paths(getattr(options, "inputs", ())), options.out)
    folder = prepare_out(options.out, options.overwrite)
    write_config(folder / CONFIG, options)
    with removed_if_empty(folder):
        yield folder


@contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """A block that fails, or is interrupted, before it has written more than the settings leaves no folder behind."""
    try:
        yield
    except BaseException:
        config = folder / CONFIG
        if folder.is_dir() and all(path == config for path in folder.iterdir()):
            config.unlink(missing_ok=True)
            folder.rmdir()
        raise


def output_file(options: Output, endings: tuple[str, ...]) -> Path:
    """The file that a verb writes, checked before the work begins; `keep_config` writes the options beside it.

    Raises:
        UsageError: another ending, a folder, a place that cannot be written, or a file that must not be replaced.
    """
    out = Path(options.out)
    if out.suffix.lower() not in endings:
        raise UsageError(f"--out {out}: the name must end in {' or '.join(endings)}")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; give the name of a file")
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists; choose another --out or pass --overwrite")
    if out.exists() and not _config_of(out).exists():
        raise UsageError(f"{out} was not written by xray2xray (no {_config_of(out).name}); --overwrite keeps it")
    check_place(out)
    return out


def keep_config(out: Path, options: Output) -> None:
    """Keep the options beside an output file."""
    write_config(_config_of(out), options)


def _config_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.{CONFIG}")


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


def write_config(path: Path, options: Any) -> None:
    """Keep the options of a run as YAML that `--config` reads back."""
    import yaml

    fields = asdict(options)
    if "inputs" in fields:
        fields["inputs"] = as_paths(fields["inputs"])
    text = yaml.safe_dump(_plain(fields), sort_keys=False, allow_unicode=True, width=100)
    verb = verb_name(type(options).__module__)
    write_text(path, f"# xray2xray {VERSION}; to run this again: xray2xray {verb} --config {path.name}\n{text}")


def _plain(value: Any) -> Any:
    """Paths as text, tuples as lists: what YAML can say without tags."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
