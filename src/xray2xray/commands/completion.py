import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from .options import flag
from .registry import as_function, verbs

GLOBAL = ("--config", "--quiet", "--verbose", "--report", "--help")


@dataclass(frozen=True)
class Options:
    """Print a script that completes verbs, options and their choices in a shell.

    bash: `source <(xray2xray completion bash)`; zsh: `source <(xray2xray completion zsh)`, after `autoload -U compinit;
    compinit`; fish: `xray2xray completion fish > ~/.config/fish/completions/xray2xray.fish`.

    Attributes:
        shell: bash, zsh or fish.
    """

    shell: Literal["bash", "zsh", "fish"]


def run(options: Options) -> str:
    known = verbs()
    script = _fish(known) if options.shell == "fish" else _bash(known, options.shell == "zsh")
    print(script, end="")
    return script


completion = as_function(Options, run)


def _bash(known: Mapping[str, Callable[..., Any]], zsh: bool) -> str:
    """One function that looks at the words before; zsh runs it as bash does, after bashcompinit."""
    firsts = sorted({verb.split()[0] for verb in known})
    seconds = sorted(verb.split()[1] for verb in known if " " in verb)
    cases = "\n".join(
        f'    "{verb}") words="{" ".join([*_flags(function), *GLOBAL])}" ;;' for verb, function in known.items()
    )
    choices = "\n".join(
        f'    "{verb} {option}") words="{" ".join(named)}" ;;'
        for verb, function in known.items()
        for option, named in _choices(function).items()
    )
    head = "autoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return f"""{head}_xray2xray() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" verb="${{COMP_WORDS[1]}}" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(firsts)} --help --version" -- "$word")); return
  fi
  if [ "$verb" = evaluate ]; then
    if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "{" ".join(seconds)}" -- "$word")); return; fi
    verb="evaluate ${{COMP_WORDS[2]}}"
  fi
  case "$verb $before" in
{choices}
  esac
  if [ -z "$words" ] && [ "${{word:0:1}}" = "-" ]; then
    case "$verb" in
{cases}
    esac
  fi
  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$word")); else COMPREPLY=($(compgen -f -- "$word")); fi
}}
complete -o filenames -F _xray2xray xray2xray
"""


def _fish(known: Mapping[str, Callable[..., Any]]) -> str:
    lines = []
    for first in sorted({verb.split()[0] for verb in known}):
        lines.append(f"complete -c xray2xray -n __fish_use_subcommand -a {first}")
    for verb, function in known.items():
        first, _, second = verb.partition(" ")
        seen = f"__fish_seen_subcommand_from {first}"
        if second:
            others = f"not __fish_seen_subcommand_from {' '.join(one.split()[1] for one in known if ' ' in one)}"
            lines.append(f"complete -c xray2xray -f -n '{seen}; and {others}' -a {second}")
            seen += f"; and __fish_seen_subcommand_from {second}"
        named = _choices(function)
        for option in (*_flags(function), *GLOBAL):
            chosen = f" -x -a '{' '.join(named[option])}'" if option in named else ""
            lines.append(f"complete -c xray2xray -n '{seen}' -l {option.removeprefix('--')}{chosen}")
    return "\n".join(lines) + "\n"


def _flags(function: Callable[..., Any]) -> list[str]:
    return [flag(name) for name in inspect.signature(function).parameters if name not in ("inputs", "folder", "shell")]


def _choices(function: Callable[..., Any]) -> dict[str, tuple[str, ...]]:
    """The options that take one of a few words, by option."""
    found = {"--device": ("auto", "cpu", "cuda", "gpu"), "--adapter": ("cyclegan",)}
    known = {name: parameter.annotation for name, parameter in inspect.signature(function).parameters.items()}
    found = {option: words for option, words in found.items() if option.removeprefix("--") in known}
    named = {flag(name): get_args(kind) for name, kind in known.items() if get_origin(kind) is Literal}
    return found | {option: words for option, words in named.items() if all(isinstance(word, str) for word in words)}
