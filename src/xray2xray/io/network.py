"""A network from settings that come from outside: checked before it takes memory."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from ..core.limits import MAX_LAYERS, MAX_PARAMETERS, MAX_SETTING, free_bytes

_COUNTS = ("layers", "blocks", "trunk", "head")  # settings that are a number of layers


def check_settings(settings: Any) -> None:
    """Raise ValueError unless every field of a dataclass is of its default's kind and within the limits."""
    defaults = asdict(type(settings)())
    for name, value in asdict(settings).items():
        numbers = value if isinstance(value, tuple) else (value,)
        if type(value) is not type(defaults[name]):
            raise ValueError(f"{name} must be like {defaults[name]!r}, got {value!r}")
        if isinstance(value, str):
            continue
        if any(type(number) not in (int, float) for number in numbers):
            raise ValueError(f"{name} must be like {defaults[name]!r}, got {value!r}")
        most = MAX_LAYERS if name in _COUNTS else MAX_SETTING
        if len(numbers) > MAX_LAYERS or not all(0 <= number <= most for number in numbers):
            raise ValueError(f"{name} must be from 0 to {most}, got {value!r}")


def shapes_of(network: Callable[[Any], nn.Module], settings: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a network, which is built without memory.

    Raises:
        ValueError, TypeError, RuntimeError: the settings describe no network, or one that is too large.
    """
    check_settings(settings)
    with torch.device("meta"):
        state = network(settings).state_dict()
    count = sum(tensor.numel() for tensor in state.values())
    if count > MAX_PARAMETERS or 4 * count > free_bytes():
        raise ValueError(f"a network of {count:,} numbers is more than fits into memory")
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def check_file(path: Path, shapes: dict[str, tuple[int, ...]], optional: tuple[str, ...]) -> None:
    """Raise ValueError unless a safetensors file holds tensors of these shapes and no others; nothing is read yet."""
    with safe_open(path, "pt") as file:
        there = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
    missing = sorted(set(shapes) - set(there) - set(optional))
    unknown = sorted(set(there) - set(shapes))
    if missing or unknown:
        raise ValueError(f"{len(missing)} tensors missing, {len(unknown)} unknown")
    for name, shape in there.items():
        if shape != shapes[name]:
            raise ValueError(f"{name} is {shape}, the settings say {shapes[name]}")
