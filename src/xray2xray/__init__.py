"""Xray2Xray: a world model of the chest. One radiograph in; the views from other angles and a volume out.

The names below are imported when they are first used: `import xray2xray` and `xray2xray --help` load neither torch
nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .commands.api import (
        cohort,
        demo,
        embed,
        evaluate_baselines,
        evaluate_controls,
        evaluate_probes,
        evaluate_uncertainty,
        evaluate_views,
        info,
        phantom,
        reconstruct,
        render,
        rotate,
        train,
    )
    from .core.errors import InputError, UsageError
    from .data.store import ViewStore
    from .models.world_model import WorldModel
    from .projection.geometry import STANDARD_ARC, Geometry
    from .session.study import Study, open_input
    from .volume.read import read_volume
    from .volume.volume import Volume

from .core.version import VERSION as __version__

_HOME = {
    "commands.api": (
        "cohort demo embed evaluate_baselines evaluate_controls evaluate_probes evaluate_uncertainty "
        "evaluate_views info phantom reconstruct render rotate train"
    ),
    "data.store": "ViewStore",
    "core.errors": "InputError UsageError",
    "session.study": "Study open_input",
    "projection.geometry": "Geometry STANDARD_ARC",
    "volume.read": "read_volume",
    "volume.volume": "Volume",
    "models.world_model": "WorldModel",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "STANDARD_ARC",
    "Geometry",
    "InputError",
    "Study",
    "UsageError",
    "ViewStore",
    "Volume",
    "WorldModel",
    "__version__",
    "cohort",
    "demo",
    "embed",
    "evaluate_baselines",
    "evaluate_controls",
    "evaluate_probes",
    "evaluate_uncertainty",
    "evaluate_views",
    "info",
    "open_input",
    "phantom",
    "read_volume",
    "reconstruct",
    "render",
    "rotate",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
