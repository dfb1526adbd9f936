"""What the commands of all experiments share: the parser, the errors and the files of a result."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import InputError, UsageError
from ..core.log import to_stderr
from ..io.files import write_json, write_text

R = TypeVar("R")


def parser(name: str, text: str | None) -> argparse.ArgumentParser:
    """The parser of `python -m xray2xray.experiments.NAME`, whose help is the docstring of that module."""
    return argparse.ArgumentParser(
        prog=f"python -m xray2xray.experiments.{name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def command(
    made: argparse.ArgumentParser, run: Callable[[argparse.Namespace], R], words: Sequence[str] | None = None
) -> R:
    """Run an experiment with the options in `words` (default: the command line).

    An input or a request that is wrong ends the program with one line on stderr and exit code 1 or 2, as the verbs do.
    """
    options = made.parse_args(words)
    to_stderr()
    try:
        return run(options)
    except (InputError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def write_result(out: Path, name: str, result: Mapping[str, Any], text: str) -> None:
    """Write NAME.json and NAME.md into `out`, and print the latter."""
    write_json(out / f"{name}.json", result)
    write_text(out / f"{name}.md", text)
    print(text)
