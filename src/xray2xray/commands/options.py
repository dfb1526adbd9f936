"""What the options of all verbs share: types, help that is read from the class docstring, checks of values."""

import inspect
import os
import re
from collections.abc import Callable, Iterable, Sequence
from glob import glob
from pathlib import Path
from typing import Any, Literal, cast

from ..core.errors import UsageError

Inputs = str | Path | Sequence[str | Path]
Form = str  # the name of a transition form; the registry of forms knows which there are
View = Literal["auto", "pa", "ap"]
Angles = Sequence[float | Literal["all"]]


def verb_name(module: str) -> str:
    """The verb of a module: `rotate` of `xray2xray.commands.rotate`, `evaluate views` of `...evaluate_views`."""
    name = module.rpartition(".")[2]
    return name.replace("_", " ", 1) if name.startswith("evaluate_") else name


def as_paths(inputs: Inputs) -> list[Path]:
    """One path or several as a list: `rotate("scan.nii.gz", ...)` is meant as it looks; a pattern is its files."""
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    return [path for item in given for path in _matching(str(item))]


def _matching(item: str) -> list[Path]:
    """The path, or the sorted files of a pattern (*, ?, **) that the shell has left, or itself where none match."""
    if os.path.exists(item) or not re.search(r"[*?[]", item):
        return [Path(item)]
    return [Path(found) for found in sorted(glob(item, recursive=True))] or [Path(item)]


def as_angles(yaw_deg: Angles | str | float) -> list[float] | None:
    """`all`, one angle or several; None stands for all of the standard arc."""
    wanted: Sequence[str | float] = (yaw_deg,) if isinstance(yaw_deg, str | int | float) else yaw_deg
    if "all" in wanted:
        return None
    try:
        angles = [float(angle) for angle in wanted]
    except (TypeError, ValueError):
        raise UsageError(f"--yaw-deg {yaw_deg}: expected all, or angles in degrees") from None
    if not angles or not all(abs(angle) <= 360 for angle in angles):  # nor NaN
        raise UsageError(f"--yaw-deg {yaw_deg}: expected all, or angles from -360 to 360 degrees")
    return angles


def at_least(least: int, **numbers: int | None) -> None:
    """Raise UsageError for a number below `least`, by the name of its option."""
    for name, number in numbers.items():
        if number is not None and number < least:
            raise UsageError(f"{flag(name)} is {number}; it must be at least {least}")


def one_of(choices: Iterable[str], **values: str) -> None:
    """Raise UsageError for a value that is none of the choices, by the name of its option."""
    choices = list(choices)
    for name, value in values.items():
        if value not in choices:
            raise UsageError(f"{flag(name)} {value}: expected {', '.join(choices)}")


def flag(name: str) -> str:
    """The option of a keyword on the command line."""
    return "--" + name.replace("_", "-")


# ---------------------------------------------------------------- help from docstrings


def documented(options: Callable[..., Any]) -> str:
    """The docstring of a class of options; behind its attributes stand those that it inherits."""
    own, *bases = (inspect.cleandoc(vars(one)["__doc__"] or "") for one in cast(type, options).__mro__[:-1])
    return "\n".join([own, *(text.partition("Attributes:\n")[2] for text in bases)])


def summary(verb: Callable[..., Any]) -> str:
    """The first line of the docstring."""
    return (inspect.getdoc(verb) or "").split("\n", 1)[0]


def description(verb: Callable[..., Any]) -> str:
    """The docstring up to its first section, as one paragraph."""
    text = re.split(r"^(?:Args|Attributes|Raises):", inspect.getdoc(verb) or "", maxsplit=1, flags=re.M)[0]
    return " ".join(text.split())


def field_help(verb: Callable[..., Any]) -> dict[str, str]:
    """What the section `Attributes:` (or `Args:`) of the docstring says about each option."""
    found = re.search(r"^(?:Args|Attributes):\n(.*?)(?=^\S|\Z)", inspect.getdoc(verb) or "", flags=re.M | re.S)
    entries = re.split(r"^ {4}(\w+): ", found.group(1), flags=re.M)[1:] if found else []
    return {name: " ".join(text.split()) for name, text in zip(entries[::2], entries[1::2], strict=True)}
