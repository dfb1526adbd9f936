"""The verbs: every module of this package, and of the packages that plug-ins name, with `Options` and `run`.

    @dataclass(frozen=True)
    class Options:          # fields in the order of the Python function; the docstring is the help
        ...

    def run(options: Options) -> RotateResult: ...

    rotate = as_function(Options, run)      # in rotate.py; evaluate_views.py is the verb `evaluate views`

A plug-in names its package of such modules in the entry-point group `xray2xray.commands`.
"""

import inspect
import logging
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from .options import documented, verb_name

GROUP = "xray2xray.commands"
P = ParamSpec("P")
O = TypeVar("O")  # noqa: E741 (options)
R = TypeVar("R")

log = logging.getLogger(__name__)


def as_function(options: Callable[P, O], run: Callable[[O], R]) -> Callable[P, R]:
    """The Python function of a verb: the fields of its options are the arguments."""

    def verb(*args: P.args, **kwargs: P.kwargs) -> R:
        return run(options(*args, **kwargs))

    verb.__name__ = verb.__qualname__ = options.__module__.rpartition(".")[2]
    verb.__module__, verb.__doc__ = options.__module__, documented(options)
    returned = inspect.signature(run).return_annotation
    verb.__signature__ = inspect.signature(options).replace(return_annotation=returned)  # type: ignore[attr-defined]
    return verb


def verbs() -> dict[str, Callable[..., Any]]:
    """The Python function of every verb, by the verb's name, sorted; the package's own verbs go before a plug-in's."""
    found = dict(_verbs_of(__package__))
    for package in _plug_ins():
        try:
            found = dict(_verbs_of(package)) | found
        except ImportError as error:
            log.warning("the verbs of %s are missing: %s", package, error)
    return dict(sorted(found.items()))


def _verbs_of(package: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in (one.name for one in pkgutil.iter_modules(import_module(package).__path__)):
        module = import_module(f"{package}.{name}")
        if hasattr(module, "Options") and hasattr(module, "run"):
            yield verb_name(module.__name__), getattr(module, name)


def _plug_ins() -> list[str]:
    """The packages that installed distributions name."""
    from importlib.metadata import entry_points

    return sorted({point.value for point in entry_points(group=GROUP)})
