"""The command line: a verb of the registry, its options as the Python function's keywords.

Exit codes: 0 done, 1 failed (the input cannot be used; of several inputs none can), 2 wrong usage or refused, 130
interrupted. A failure is one line on stderr; XRAY2XRAY_DEBUG=1 shows the traceback.
"""

import argparse
import inspect
import logging
import os
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from ..core.errors import InputError, UsageError
from ..core.log import to_stderr
from ..core.version import VERSION
from .options import description, field_help, flag, summary
from .registry import verbs
from .run_report import reported

Verbs = Mapping[str, Callable[..., Any]]
GLOBAL = ("help", "config", "quiet", "verbose", "report")  # options of every verb that are no fields of its options
POSITIONAL = ("inputs", "folder", "shell")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    to_stderr()
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("xray2xray: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `xray2xray info | head -1`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (it has to stay open until the interpreter has flushed)
        return 1
    except Exception as error:
        if os.environ.get("XRAY2XRAY_DEBUG", "") not in ("", "0"):
            raise
        print(f"xray2xray: error: {_one_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError | argparse.ArgumentError) else 1


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-V", "--version"):
        print(f"xray2xray {VERSION}")
        return 0
    known = verbs()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview(known), end="")
        return 0 if arguments else 2
    name, rest = _split_verb(arguments, known)
    if name == "evaluate":  # reached by `evaluate --help` only
        print(_overview(known, "evaluate "), end="")
        return 0
    options, level, report = _parse(name, known[name], rest)
    to_stderr(level)
    with reported(report, name, options) as finished:
        finished.result = known[name](**options)
    return 0


def _split_verb(arguments: list[str], known: Verbs) -> tuple[str, list[str]]:
    if arguments[0] == "evaluate":
        whats = [verb.split()[1] for verb in known if verb.startswith("evaluate ")]
        if len(arguments) > 1 and arguments[1] in whats:
            return f"evaluate {arguments[1]}", arguments[2:]
        if len(arguments) > 1 and arguments[1] in ("-h", "--help"):
            return "evaluate", []
        raise UsageError(f"evaluate what? One of: {', '.join(whats)}")
    if arguments[0] in known:
        return arguments[0], arguments[1:]
    from difflib import get_close_matches

    near = get_close_matches(arguments[0], list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(known)}"
    raise UsageError(f"no verb {arguments[0]!r}; {hint} (xray2xray --help says more)")


def _overview(known: Verbs, prefix: str = "") -> str:
    width = max(map(len, known)) + 2
    lines = [
        f"usage: xray2xray {prefix}VERB [OPTIONS]",
        "",
        "A world model of the chest: one radiograph in, the views from other angles and a volume out.",
        "Research use only, not a medical device.",
        "",
    ]
    lines += [f"  {name:<{width}}{summary(verb)}" for name, verb in known.items() if name.startswith(prefix)]
    lines += ["", "Exit codes: 0 done, also if some of several inputs were left out (failed.csv lists them); 1 failed;"]
    lines += ["2 wrong usage or refused."]
    lines += ["", "xray2xray VERB --help lists the options of a verb; the first thing to try is `xray2xray demo`."]
    return "\n".join(lines) + "\n"


def _parse(name: str, verb: Callable[..., Any], arguments: list[str]) -> tuple[dict[str, Any], int, str | None]:
    """The options from the command line, over those of `--config FILE`, over the defaults; the level of logging; and
    the file of the run's report."""
    parser = _parser(name, verb)
    # Python says yaw_deg, a shell says yaw-deg: both are understood.
    arguments = [_dashed(word) for word in arguments]
    options = parser.parse_args(_config_first(arguments)).as_dict()
    quiet, verbose = options["quiet"], options["verbose"]
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    return {key: value for key, value in options.items() if key not in GLOBAL}, level, options["report"]


def _parser(name: str, verb: Callable[..., Any]) -> Any:
    """A parser whose options are the keyword arguments of the verb."""
    import jsonargparse

    parser = jsonargparse.ArgumentParser(
        prog=f"xray2xray {name}",
        description=description(verb).replace("%", "%%"),
        formatter_class=_HelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
    )
    helps = {option: text.replace("%", "%%") for option, text in field_help(verb).items()}
    parser.add_argument(
        "--config",
        action=jsonargparse.ActionConfigFile,  # type: ignore[attr-defined]
        metavar="FILE",
        help="options from a YAML file, such as the config.yaml of an earlier run; the command line overrides it",
    )
    parser.add_argument(
        "--report", type=str, metavar="FILE", help="a .json to write: inputs, outputs, what was left out, seconds"
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="show warnings and results, no progress")
    loudness.add_argument("--verbose", action="store_true", help="show details of the work, too")
    for name, parameter in inspect.signature(verb).parameters.items():
        kind, default = parameter.annotation, parameter.default
        required = default is inspect.Parameter.empty
        item = _list_item(kind)
        metavar = name.rsplit("_", 1)[-1].upper()
        if name == "inputs":
            many: dict[str, Any] = {"nargs": "+"} if required else {"nargs": "*", "default": argparse.SUPPRESS}
            parser.add_argument(name, type=str, metavar="INPUT", help=helps.get(name), **many)
        elif name in POSITIONAL:
            parser.add_argument(name, type=_shell_type(kind), metavar=metavar, help=helps.get(name))
        elif kind is bool:
            action = jsonargparse.ActionYesNo if default else "store_true"
            parser.add_argument(flag(name), action=action, default=default, help=helps.get(name))
        else:
            settings: dict[str, Any] = {"required": True} if required else {"default": default}
            if item is not None:
                settings |= {"nargs": "+", "type": _shell_type(item)}
                if not required and default is not None:
                    settings["default"] = list(default)
            else:
                settings["type"] = _shell_type(kind)
            if get_origin(kind) is not Literal:
                settings["metavar"] = metavar
            parser.add_argument(flag(name), help=helps.get(name), **settings)
    return parser


class _HelpFormatter(argparse.HelpFormatter):
    """Plain help: the text and the default, without type names that say nothing to a reader."""

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, max_help_position=30, width=110, **settings)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text, default = action.help or "", action.default
        if not action.option_strings or action.dest in ("help", "config"):
            return text
        if action.required:
            return f"{text} (required)"
        if default is None or default is False:
            return text
        return f"{text} (default: {' '.join(map(str, default)) if isinstance(default, list) else default})"


def _dashed(word: str) -> str:
    if not re.match(r"--[A-Za-z]\w*", word):
        return word
    option, equals, value = word.partition("=")
    return option.replace("_", "-") + equals + value


def _config_first(arguments: list[str]) -> list[str]:
    """Move `--config FILE` to the front: jsonargparse lets the later one win, and that should be the command line."""
    first: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--config" and (value := next(words, None)) is not None:
            first += [word, _checked_config(value)]
        elif word.startswith("--config="):
            first += ["--config", _checked_config(word.removeprefix("--config="))]
        else:
            rest.append(word)
    return first + rest


def _checked_config(path: str) -> str:
    """The path, or UsageError with the file's name and not its content, unless it is YAML of options."""
    from ..io.text import read_yaml

    try:
        read_yaml(path, remedy="give the config.yaml of an earlier run")
    except InputError as error:
        raise UsageError(f"--config {error}") from None
    return path


def _list_item(kind: Any) -> Any:
    """The type of the items if `kind` is a sequence (or a sequence or None), else None."""
    for option in _alternatives(kind):
        if get_origin(option) in (list, tuple, Sequence):
            return get_args(option)[0]
    return None


def _shell_type(kind: Any) -> Any:
    """`str | Path` is one string on the command line."""
    options = [option for option in _alternatives(kind) if option is not Path]
    return options[0] if len(options) == 1 else Union[tuple(options)]  # noqa: UP007 (built at run time)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _one_line(error: BaseException) -> str:
    if isinstance(error, argparse.ArgumentError):
        return _one_usage_line(str(error))
    if isinstance(error, InputError | UsageError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # numpy's and torch's
        return "out of memory; a smaller --size or fewer inputs at once may help"
    if isinstance(error, PermissionError | FileNotFoundError) and error.filename:
        return f"{error.filename}: {error.strerror}; check the path and its permissions"
    if isinstance(error, OSError):
        return " ".join((str(error) if error.filename or not error.strerror else error.strerror).split())
    note = " ".join(str(error).split())
    return f"{type(error).__name__}: {note} (this should not happen; XRAY2XRAY_DEBUG=1 shows where)"


def _one_usage_line(text: str) -> str:
    """Of the several lines of jsonargparse: the option and what is wrong with it."""
    key = re.match(r'Parser key "(\w+)"[^:]*:\s*(.*)', text, flags=re.S)
    if not key:
        return re.sub(r"^the following arguments are required: (.+)$", _required, " ".join(text.split()))
    given = re.search(r"(?:Got value|Given value): (.*)", key.group(2), flags=re.S)
    name = key.group(1) if key.group(1) in POSITIONAL else flag(key.group(1))
    if given:
        wanted = re.findall(r"Expected an? (?:<class '(\w+)'>|typing\.Literal\[([^\]]+)\])", key.group(2))
        kinds = " or ".join(kind or choices.replace("'", "") for kind, choices in wanted) or "another value"
        return f"{name} {' '.join(given.group(1).split())}: expected {kinds}"
    return f"{name}: {' '.join(key.group(2).split())}"


def _required(match: re.Match[str]) -> str:
    said = {"inputs": "no input file given", "folder": "no FOLDER given", "shell": "which shell? bash, zsh or fish"}
    return ", ".join(said.get(name, f"{flag(name)} is required") for name in match.group(1).split(", "))
