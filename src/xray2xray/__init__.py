"""Xray2Xray: a world model of the chest. One radiograph in; the views from other angles and a volume out.

The names below, and the verbs of the command line as functions, are imported when they are first used: `import
xray2xray` and `xray2xray --help` load neither torch nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a test holds this list and the registry of verbs together
    from .commands.adapt import adapt as adapt
    from .commands.cohort import cohort as cohort
    from .commands.completion import completion as completion
    from .commands.demo import demo as demo
    from .commands.doctor import doctor as doctor
    from .commands.embed import embed as embed
    from .commands.evaluate_baselines import evaluate_baselines as evaluate_baselines
    from .commands.evaluate_controls import evaluate_controls as evaluate_controls
    from .commands.evaluate_probes import evaluate_probes as evaluate_probes
    from .commands.evaluate_uncertainty import evaluate_uncertainty as evaluate_uncertainty
    from .commands.evaluate_views import evaluate_views as evaluate_views
    from .commands.evaluate_volume import evaluate_volume as evaluate_volume
    from .commands.export import export as export
    from .commands.info import info as info
    from .commands.phantom import phantom as phantom
    from .commands.predict import predict as predict
    from .commands.reconstruct import reconstruct as reconstruct
    from .commands.render import render as render
    from .commands.rotate import rotate as rotate
    from .commands.serve import serve as serve
    from .commands.train import train as train
    from .core.errors import InputError as InputError
    from .core.errors import UsageError as UsageError
    from .data.store import ViewStore as ViewStore
    from .models.world_model import WorldModel as WorldModel
    from .projection.geometry import STANDARD_ARC as STANDARD_ARC
    from .projection.geometry import Geometry as Geometry
    from .reporting.result import Result as Result
    from .session.session import Session as Session
    from .session.study import Study as Study
    from .session.study import open_input as open_input
    from .volume.read import read_volume as read_volume
    from .volume.volume import Volume as Volume

from .core.version import VERSION

__version__ = VERSION

_MODULE_OF = {
    "Geometry": "projection.geometry",
    "InputError": "core.errors",
    "Result": "reporting.result",
    "STANDARD_ARC": "projection.geometry",
    "Session": "session.session",
    "Study": "session.study",
    "UsageError": "core.errors",
    "ViewStore": "data.store",
    "Volume": "volume.volume",
    "WorldModel": "models.world_model",
    "open_input": "session.study",
    "read_volume": "volume.read",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    elif name == "__all__":
        value = ["__version__", *_MODULE_OF, *_functions()]
    elif name.startswith("_") or name not in (functions := _functions()):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        value = functions[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *_functions()})


def _functions() -> dict[str, Any]:
    """The verbs as Python functions: `evaluate views` is `evaluate_views`."""
    from .commands.registry import verbs

    return {name.replace(" ", "_"): verb for name, verb in verbs().items()}
