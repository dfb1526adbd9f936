"""Writes docs/reference/command-line.md and docs/reference/python.md from the registry of verbs and from docstrings.

python docs/build_reference.py    (make reference); a test holds the pages to what this writes.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xray2xray
from xray2xray.commands.options import description, field_help, flag
from xray2xray.commands.registry import verbs

FOLDER = Path(__file__).resolve().parent / "reference"
HEAD = "<!-- written by docs/build_reference.py; change the docstrings instead -->\n"
ABOUT = """`xray2xray VERB --help` shows the same. Every verb also takes `--config FILE` (options from a YAML file, such
as the `config.yaml` of an earlier run; the command line overrides it), `--report FILE.json` (what was done: inputs,
outputs, what was left out, seconds), `--quiet` and `--verbose`. Of inputs, folders and patterns (`'films/*.png'`)
stand for their files. Exit codes: 0 done, 1 failed, 2 wrong usage or refused.
"""
POSITIONAL = ("inputs", "folder", "shell")
MODULES = ("projection", "reconstruction", "volume", "radiograph")  # rooms whose package offers names of its own


def command_line() -> str:
    """Every verb with its options, as Markdown."""
    parts = [
        HEAD,
        "# Command line\n",
        ABOUT,
        "".join(f"- [`{name}`](#{name.replace(' ', '-')})\n" for name in verbs()),
    ]
    for name, verb in verbs().items():
        helps = field_help(verb)
        rows = [
            f"| `{_option(parameter)}` | {_default(parameter)} | {_cell(helps.get(parameter.name, ''))} |\n"
            for parameter in inspect.signature(verb).parameters.values()
        ]
        parts.append(
            f"## {name}\n\n{description(verb)}\n\n| option | default | meaning |\n|---|---|---|\n{''.join(rows)}"
        )
    return "\n".join(parts)


def python() -> str:
    """The names that `import xray2xray` and the rooms of MODULES offer, as Markdown."""
    parts = [
        HEAD,
        "# Python\n",
        "Every verb is a function with the options of the [command line](command-line.md) as keywords:\n",
    ]
    parts.append(", ".join(f"`xray2xray.{name.replace(' ', '_')}`" for name in verbs()) + ".\n")
    verb_names = {name.replace(" ", "_") for name in verbs()}
    parts += _section("xray2xray", xray2xray, [name for name in xray2xray.__all__ if name not in verb_names])
    for room in MODULES:
        module = __import__(f"xray2xray.{room}", fromlist=["_"])
        parts += _section(f"xray2xray.{room}", module, module.__all__)
    return "\n".join(parts)


def _section(title: str, module: Any, names: list[str]) -> Iterator[str]:
    yield f"## {title}\n"
    for name in sorted(names, key=str.lower):
        value = getattr(module, name)
        if inspect.isclass(value):
            yield f"### `{name}`\n\n{_doc(value)}\n"
            for method, function in inspect.getmembers(value, callable):
                if method in vars(value) and not method.startswith("_"):
                    yield f"`{method}{_signature(function)}`\n\n{_doc(function)}\n"
        elif callable(value):
            yield f"### `{name}{_signature(value)}`\n\n{_doc(value)}\n"


def _signature(function: Callable[..., Any]) -> str:
    """Names and defaults of the parameters: types are in the source."""
    signature = inspect.signature(function)
    kept = [
        one.replace(annotation=inspect.Parameter.empty)
        for one in signature.parameters.values()
        if one.name not in ("self", "cls")
    ]
    return re.sub(r" at 0x\w+", "", str(inspect.Signature(kept)))


def _doc(thing: Any) -> str:
    text = inspect.getdoc(thing) or ""
    return re.sub(r"^(Args|Attributes|Returns|Raises):\n((?:    .*\n?|\n)+)", _list, text, flags=re.M).strip()


def _list(section: re.Match[str]) -> str:
    entries = re.split(r"^ {4}(?=\S)", section[2], flags=re.M)[1:]
    return f"{section[1]}:\n\n" + "".join(f"- {' '.join(entry.split())}\n" for entry in entries) + "\n"


def _option(parameter: inspect.Parameter) -> str:
    return parameter.name.upper() if parameter.name in POSITIONAL else flag(parameter.name)


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is inspect.Parameter.empty:
        return "required"
    if value is None or value == () or value is False:
        return ""
    return "`" + (" ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)) + "`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "command-line.md").write_text(command_line(), encoding="utf-8")
    (FOLDER / "python.md").write_text(python(), encoding="utf-8")


if __name__ == "__main__":
    main()
