"""The presets `tiny`, `small`, `base`, `large`, and recipes: a preset with settings of its own, in YAML."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ..core.errors import InputError, UsageError, reading
from ..io.model_folder import with_tuples
from ..io.network import shapes_of
from ..io.text import read_yaml
from ..models.transitions.registry import PARTS
from ..models.vision.vqgan import VisionConfig
from .objective import Objective, require
from .settings import Settings, Size

_DETAILED = VisionConfig(size=128, widths=(96, 192), blocks=(2, 3), head_width=32)
_PAPER = VisionConfig(size=256, widths=(96, 192, 384), blocks=(2, 2, 3), head_width=48, codebook_size=8192)
SIZES = {
    size.name: size
    for size in (
        Size("tiny", VisionConfig(), dim=256, heads=8, layers=6, steps=None),
        Size("small", _DETAILED, dim=384, heads=6, layers=8, steps=50_000),
        Size("base", _PAPER, dim=768, heads=12, layers=12, steps=200_000),
        Size("large", _PAPER, dim=1024, heads=16, layers=24, steps=300_000),
    )
}
_SUFFIXES = {"": "network", "_loop": "loop", "_training": "training"}  # of a stage's name, in a recipe
_RENAMED = {"vision_losses": "vision_training"}  # in recipes of version 0.1
_REMOVED = {"direct_training": ("appearance_share", "alignment")}  # written there even where they were off


@dataclass(frozen=True)
class Preset:
    """Everything that a training run is, apart from its views, its seed and its machine.

    Attributes:
        stages: the settings of each, by its name in `models.transitions.registry.PARTS`.
        held_out: patients of the store that nothing is learned from.
        held_out_views: of theirs, on which V is validated.

    Raises:
        ValueError: a network does not fit V, or the form it is trained on top of.
    """

    name: str
    stages: Mapping[str, Settings]
    held_out: int = 40
    held_out_views: int = 96

    def __post_init__(self) -> None:
        require(self.held_out >= 0, "held_out must not be negative")
        require(self.held_out_views >= 1, "held_out_views must be at least 1")
        for name, settings in self.stages.items():
            given = asdict(settings.network)
            for key in ("tokens", "latent_dim", "codebook_size"):
                wanted = getattr(self.vision, key)
                require(given.get(key, wanted) == wanted, f"{name} must have V's {key}, {wanted}")
            if "dim" in given:
                dim, heads = given["dim"], given["heads"]
                require(dim % heads == 0, f"a width of {dim} does not divide into {heads} heads")
            if "hidden" in given:
                below = PARTS[name].after or ""
                wanted = self.stages[below].network.dim
                require(given["hidden"] == wanted, f"{name}'s hidden must be the dim of {below}, {wanted}")

    @property
    def vision(self) -> VisionConfig:
        return self.stages["vision"].network

    def settings(self) -> dict[str, Any]:
        """All settings under their names in a recipe: `direct`, `direct_loop`, `direct_training`, ..."""
        stages = {
            f"{name}{suffix}": getattr(settings, field)
            for name, settings in self.stages.items()
            for suffix, field in _SUFFIXES.items()
        }
        return {"name": self.name, **stages, "held_out": self.held_out, "held_out_views": self.held_out_views}

    def changed(self, **said: Any) -> "Preset":
        """The same with other settings, under their names in a recipe; a mapping replaces some fields of one.

        Raises:
            ValueError, TypeError: a setting does not exist, or has a value that cannot be.
        """
        known = self.settings()
        for name, value in said.items():
            if name not in known:
                raise ValueError(f"there is no setting {name!r} in a recipe")
            known[name] = _changed(known[name], value, name)
        stages = {
            name: Settings(**{field: known[f"{name}{suffix}"] for suffix, field in _SUFFIXES.items()})
            for name in self.stages
        }
        return Preset(known["name"], stages, known["held_out"], known["held_out_views"])


def objective_of(part: str) -> type[Objective]:
    """The class that trains a part."""
    module, _, name = PARTS[part].objective.rpartition(".")
    return getattr(import_module(module), name)


def preset(name: str = "tiny", dim: int | None = None) -> Preset:
    """The preset of that name.

    - `tiny`: 128 px, 8 x 8 tokens, for a CPU; the embedded default.
    - `small`: 128 px, 16 x 16 tokens.
    - `base`: 256 px, 16 x 16 tokens, 12 layers (the paper).
    - `large`: the same with 24 layers.

    Args:
        dim: another width of the transformers, V in proportion; sizes of the views, tokens and layers stay.

    Raises:
        UsageError: there is none of that name, or `dim` does not divide into attention heads.
    """
    if name not in SIZES:
        raise UsageError(f"there is no preset {name!r}; choose tiny, small, base or large")
    size = SIZES[name] if dim is None else _with_width(SIZES[name], dim)
    return Preset(size.name, {part: objective_of(part).settings(size) for part in PARTS})


def read_recipe(path: str | Path) -> Preset:
    """A preset with settings of its own, from YAML: `preset` names the one it begins from (tiny by default), everything
    else replaces a field of it, such as `direct_loop: {steps: 9000, batch: 64}`. The recipe.yaml of a run is one, too.

    The seed in a run's recipe.yaml is left to the command's option.

    Raises:
        InputError: the file cannot be read, or a setting does not exist or has a value that cannot be.
    """
    what = "is no recipe that can be used"
    said = read_yaml(path, what, "correct it")
    try:
        with reading(path, what, "correct it"):
            said.pop("seed", None)
            base = preset(said.pop("preset", "tiny"))
            said = {_RENAMED.get(name, name): _without_removed(name, value) for name, value in said.items()}
            chosen = base.changed(**{"name": Path(path).stem, **said})
            for name, settings in chosen.stages.items():
                shapes_of(PARTS[name].network, settings.network)
            return chosen
    except UsageError as error:
        raise InputError(f"{path} {what} ({error})") from None


def with_steps(chosen: Preset, steps: int | None) -> Preset:
    """The same preset with every stage cut (or stretched) to `steps`; the schedules are shares of the steps."""
    if steps is None:
        return chosen
    if steps < 1:
        raise UsageError(f"--steps must be at least 1, got {steps}")
    warm_up = max(1, steps // 10)
    return replace(
        chosen,
        stages={
            name: replace(
                settings, loop=replace(settings.loop, steps=steps, warm_up=min(settings.loop.warm_up, warm_up))
            )
            for name, settings in chosen.stages.items()
        },
    )


def _with_width(size: Size, dim: int) -> Size:
    head_dim = size.dim // size.heads
    heads = max(1, dim // head_dim)
    if dim < 8 or dim % heads:
        raise UsageError(f"a width of {dim} does not divide into heads of {head_dim}; take a multiple of that")
    scale, vision = dim / size.dim, size.vision
    widths = tuple(8 * max(1, round(width * scale / 8)) for width in vision.widths)  # group norms have 8 groups
    narrow = replace(vision, widths=widths, head_width=max(4, round(vision.head_width * scale)))
    return replace(size, name=f"{size.name}-{dim}", vision=narrow, dim=dim, heads=heads)


def _without_removed(name: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    removed = _REMOVED.get(name, ())
    if used := [key for key in removed if value.get(key)]:
        raise ValueError(f"{name} has {used[0]}, which only version 0.1 trains with (git tag v0.1)")
    return {key: one for key, one in value.items() if key not in removed}


def _changed(current: Any, value: Any, name: str) -> Any:
    """A setting with another value; of a dataclass, one of its type, or a mapping of other values for some fields."""
    if not is_dataclass(current):
        return _like(current, value, name)
    if isinstance(value, type(current)):
        return value
    if not isinstance(value, dict):
        raise TypeError(f"{name} wants a mapping of settings")
    known = {field.name for field in fields(current)}
    if unknown := [key for key in value if key not in known]:
        raise ValueError(f"there is no setting {unknown[0]!r} in {name}")
    changes = {key: _like(getattr(current, key), one, key) for key, one in with_tuples(value).items()}
    return replace(current, **changes)  # type: ignore[type-var]


def _like(current: Any, value: Any, name: str) -> Any:
    """A value of the current one's type; YAML takes 5e-4 for text, and numbers without a point are whole."""
    if isinstance(current, float) and not isinstance(value, bool):
        with suppress(TypeError, ValueError):
            return float(value)
    elif isinstance(current, tuple) and isinstance(value, tuple):
        if len(value) == len(current) or name in ("widths", "blocks"):
            return tuple(_like(current[0], one, name) for one in value)
    elif isinstance(value, type(current)) and isinstance(value, bool) == isinstance(current, bool):
        return value
    raise TypeError(f"{name} wants something like {current!r}, got {value!r}")
