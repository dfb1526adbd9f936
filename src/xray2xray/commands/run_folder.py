"""What every verb does around its work: look at the inputs, make the output, keep the settings beside it."""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..core.errors import InputError, UsageError
from ..core.version import VERSION
from ..io.files import check_place, prepare_out, write_failed, write_text
from .options import as_paths, verb_name

if TYPE_CHECKING:
    from ..data.inputs import Input
    from ..evaluation.results import Failure

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
        InputError: no input exists (found before anything is removed).
    """
    check_inputs(as_paths(getattr(options, "inputs", ())), options.out, batch=True)
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


def list_failed(path: Path, inputs: Iterable["Input"], failed: Mapping[str, str]) -> None:
    """Write which of the inputs were left out and why: a row each, with study, input and problem."""
    named = {str(item.path): item.study for item in inputs}
    write_failed(path, [{"study": named[where], "input": where, "problem": why} for where, why in failed.items()])


def list_failures(path: Path, failed: Iterable["Failure"]) -> None:
    """As `list_failed`, of the cases of an evaluation."""
    write_failed(path, [{"study": one.case, "input": one.input or "", "problem": one.reason} for one in failed])


def keep_config(out: Path, options: Output) -> None:
    """Keep the options beside an output file."""
    write_config(_config_of(out), options)


def _config_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.{CONFIG}")


def check_inputs(inputs: Iterable[str | Path], out: str | Path | None = None, batch: bool = False) -> None:
    """Raise InputError for an input that does not exist, UsageError for one inside `out`.

    `batch`: inputs are independent, so that only all of them may not be missing; the verb lists the missing ones.
    """
    given = list(map(Path, inputs))
    missing = [item for item in given if not os.path.exists(item)]  # false, no error, for a name that is too long
    if missing and not (batch and len(missing) < len(given)):
        more = f", nor {len(missing) - 1} others" if len(missing) > 1 else ""
        raise InputError(f"{missing[0]}: there is no such file or folder{more}; check the path")
    for item in given:
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
    text = yaml.safe_dump(plain(fields), sort_keys=False, allow_unicode=True, width=100)
    out = Path(options.out)
    another = out.with_name(f"{out.stem}-again{out.suffix}" if out.suffix else f"{out.name}-again")
    again = ["xray2xray", *verb_name(type(options).__module__).split(), "--config", str(path), "--out", str(another)]
    line = f"cd {shlex.quote(os.getcwd())} && {shlex.join(again)}"  # paths are as they were given, relative ones too
    write_text(path, f"# xray2xray {VERSION}; to run this again: {' '.join(line.split())}\n{text}")


def plain(value: Any) -> Any:
    """Paths as text, tuples as lists: what YAML can say without tags."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
