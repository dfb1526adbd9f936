import json as json_
from dataclasses import asdict, dataclass
from typing import Any

from .registry import as_function


@dataclass(frozen=True)
class Options:
    """Show versions, the device, and whether the packaged weights are whole.

    Attributes:
        json: machine-readable output.
    """

    json: bool = False


@dataclass(frozen=True)
class InfoResult:
    """Versions, the machine and the packaged models; `weights` by name, each with `ok`."""

    xray2xray: str
    python: str
    platform: str
    packages: dict[str, str]
    machine: dict[str, Any]
    weights: dict[str, Any]


def run(options: Options) -> InfoResult:
    from ..session.about import about, as_text

    found = InfoResult(**about())
    print(json_.dumps(asdict(found), indent=1) if options.json else as_text(asdict(found)))
    return found


info = as_function(Options, run)
