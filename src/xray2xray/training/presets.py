"""The size dial: `tiny`, `small`, `base`, `large`. One name fixes the networks and how they are trained."""

from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import InputError, UsageError
from ..io.model_folder import with_tuples
from ..models.transitions.autoregressive import AutoregressiveConfig
from ..models.transitions.direct import DirectConfig
from ..models.transitions.sampler import SamplerConfig
from ..models.vision.vqgan import VisionConfig
from .loop import LoopConfig
from .objective import require
from .objectives.autoregressive import AutoregressiveTraining
from .objectives.direct import DirectTraining
from .objectives.sampler import SamplerTraining
from .objectives.vision import VisionLosses


@dataclass(frozen=True)
class Preset:
    """Everything that a training run is, apart from its views, its seed and its machine."""

    name: str
    vision: VisionConfig
    direct: DirectConfig
    sampler: SamplerConfig
    autoregressive: AutoregressiveConfig
    vision_loop: LoopConfig
    direct_loop: LoopConfig
    sampler_loop: LoopConfig
    autoregressive_loop: LoopConfig
    vision_losses: VisionLosses = field(default_factory=VisionLosses)
    direct_training: DirectTraining = field(default_factory=DirectTraining)
    sampler_training: SamplerTraining = field(default_factory=SamplerTraining)
    autoregressive_training: AutoregressiveTraining = field(default_factory=AutoregressiveTraining)
    held_out: int = 40  # patients of the store that are only looked at
    held_out_views: int = 96  # of theirs, on which V is validated

    def __post_init__(self) -> None:
        require(self.held_out >= 0, "held_out must not be negative")
        require(self.held_out_views >= 1, "held_out_views must be at least 1")
        given, wanted = (self.direct, self.sampler), (self.vision.tokens, self.vision.latent_dim)
        require(
            all((part.tokens, part.latent_dim) == wanted for part in given),
            f"direct and sampler must have V's {wanted[0]} tokens of {wanted[1]} numbers",
        )
        require(self.sampler.hidden == self.direct.dim, "the sampler's hidden must be the direct form's dim")
        words = (self.autoregressive.tokens, self.autoregressive.codebook_size)
        require(
            words == (self.vision.tokens, self.vision.codebook_size),
            f"autoregressive must have V's {self.vision.tokens} tokens of {self.vision.codebook_size}",
        )
        for part in (self.direct, self.sampler, self.autoregressive):
            require(part.dim % part.heads == 0, f"a width of {part.dim} does not divide into {part.heads} heads")


def _tiny() -> Preset:
    vision = VisionConfig()
    return Preset(
        name="tiny",
        vision=vision,
        direct=DirectConfig(tokens=vision.tokens),
        sampler=SamplerConfig(tokens=vision.tokens),
        autoregressive=AutoregressiveConfig(tokens=vision.tokens, actions="jump"),
        vision_loop=LoopConfig(steps=2800, batch=32, rate=1e-3),
        direct_loop=LoopConfig(steps=1800, batch=12, rate=8e-4, check_every=600),
        sampler_loop=LoopConfig(steps=800, batch=8, rate=8e-4, warm_up=80, log_every=20, check_every=200),
        autoregressive_loop=LoopConfig(steps=2300, batch=16, rate=8e-4, betas=(0.9, 0.95), check_every=500),
    )


def _larger(name: str, vision: VisionConfig, dim: int, layers: int, steps: int) -> Preset:
    heads = dim // 64
    direct = DirectConfig(
        tokens=vision.tokens,
        dim=dim,
        heads=heads,
        trunk=layers // 2,
        head=layers - layers // 2,
        condition_dim=dim // 2,
        prior_inputs=256,
        prior_outputs=512,
    )
    gpt = AutoregressiveConfig(
        tokens=vision.tokens, codebook_size=vision.codebook_size, dim=dim, heads=heads, layers=layers, context_views=1
    )
    return Preset(
        name=name,
        vision=vision,
        direct=direct,
        sampler=SamplerConfig(
            tokens=vision.tokens, hidden=dim, dim=dim // 2, heads=heads, blocks=layers // 4, condition_dim=dim // 2
        ),
        autoregressive=gpt,
        vision_loop=LoopConfig(steps=steps, batch=64, rate=5e-4),
        direct_loop=LoopConfig(steps=steps, batch=32, rate=3e-4, warm_up=1000),
        sampler_loop=LoopConfig(steps=steps // 4, batch=32, rate=3e-4, warm_up=1000),
        autoregressive_loop=LoopConfig(steps=steps, batch=64, rate=3e-4, warm_up=1000, betas=(0.9, 0.95)),
    )


def preset(name: str = "tiny") -> Preset:
    """The preset of that name.

    - `tiny`: 128 px, 8 x 8 tokens, for a CPU; the embedded default.
    - `small`: 128 px, 16 x 16 tokens.
    - `base`: 256 px, 16 x 16 tokens, 12 layers (the paper).
    - `large`: the same with 24 layers.

    Raises:
        UsageError: there is none of that name.
    """
    detailed = VisionConfig(size=128, widths=(96, 192), blocks=(2, 3), head_width=32)
    paper = VisionConfig(size=256, widths=(96, 192, 384), blocks=(2, 2, 3), head_width=48, codebook_size=8192)
    if name == "tiny":
        return _tiny()
    if name == "small":
        return _larger("small", detailed, dim=384, layers=8, steps=50_000)
    if name == "base":
        return _larger("base", paper, dim=768, layers=12, steps=200_000)
    if name == "large":
        return _larger("large", paper, dim=1024, layers=24, steps=300_000)
    raise UsageError(f"there is no preset {name!r}; choose tiny, small, base or large")


def read_recipe(path: str | Path) -> Preset:
    """A preset with settings of its own, from YAML: `preset` names the one it begins from (tiny by default), everything
    else replaces a field of it, such as `direct_loop: {steps: 9000, batch: 64}`. The recipe.yaml of a run is one, too.

    The seed in a run's recipe.yaml is left to the command's option.

    Raises:
        InputError: the file cannot be read, or a setting does not exist or has a value that cannot be.
    """
    try:
        said = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        if not isinstance(said, dict):
            raise TypeError("not a mapping of settings")
        said.pop("seed", None)
        base = preset(said.pop("preset", "tiny"))
        return _with_settings(base, {"name": Path(path).stem, **said})
    except (OSError, ValueError, TypeError, UsageError, yaml.YAMLError) as error:
        raise InputError(f"{path} is no recipe that can be used ({' '.join(str(error).split())})") from None


def _with_settings(base: Any, said: dict[str, Any]) -> Any:
    """A dataclass with other values in some fields; those of a field that is a dataclass itself may be some of its."""
    values: dict[str, Any] = {}
    known = {field.name for field in fields(base)}
    for name, value in with_tuples(said).items():
        if name not in known:
            raise ValueError(f"there is no setting {name!r} in {type(base).__name__}")
        current = getattr(base, name)
        if is_dataclass(current):
            if not isinstance(value, dict):
                raise TypeError(f"{name} wants a mapping of settings")
            value = _with_settings(current, value)
        else:
            value = _like(current, value, name)
        values[name] = value
    return replace(base, **values)


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


def with_steps(chosen: Preset, steps: int | None) -> Preset:
    """The same preset with every stage cut (or stretched) to `steps`; the schedules are shares of the steps."""
    if steps is None:
        return chosen
    if steps < 1:
        raise UsageError(f"--steps must be at least 1, got {steps}")

    def cut(loop: LoopConfig) -> LoopConfig:
        return replace(loop, steps=steps, warm_up=min(loop.warm_up, max(1, steps // 10)))

    return replace(
        chosen,
        vision_loop=cut(chosen.vision_loop),
        direct_loop=cut(chosen.direct_loop),
        sampler_loop=cut(chosen.sampler_loop),
        autoregressive_loop=cut(chosen.autoregressive_loop),
    )


def with_width(chosen: Preset, dim: int) -> Preset:
    """The same pictures, tokens and layers in networks of another width: transformers of `dim`, V in proportion.

    Raises:
        UsageError: `dim` does not divide into attention heads.
    """
    head_dim = chosen.direct.dim // chosen.direct.heads
    heads = max(1, dim // head_dim)
    if dim < 8 or dim % heads:
        raise UsageError(f"a width of {dim} does not divide into heads of {head_dim}; take a multiple of that")
    scale = dim / chosen.direct.dim
    widths = tuple(8 * max(1, round(width * scale / 8)) for width in chosen.vision.widths)  # group norms have 8 groups
    head_width = max(4, round(chosen.vision.head_width * scale))
    condition_dim = max(8, round(chosen.direct.condition_dim * scale))
    return replace(
        chosen,
        name=f"{chosen.name}-{dim}",
        vision=replace(chosen.vision, widths=widths, head_width=head_width),
        direct=replace(chosen.direct, dim=dim, heads=heads, condition_dim=condition_dim),
        sampler=replace(chosen.sampler, hidden=dim),
        autoregressive=replace(chosen.autoregressive, dim=dim, heads=heads),
    )
