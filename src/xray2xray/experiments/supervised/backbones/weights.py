"""Public weights, given as a local file, into a backbone: every name and every shape is checked.

A file is .safetensors, or a .pth, .pt or .bin that torch reads without running code.
"""

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ....core.errors import InputError
from .backbone import Backbone
from .patches import positions_for

NESTED = ("state_dict", "model", "teacher")  # under which checkpoints keep their tensors
SPARE = ("mask_token",)  # of pretraining only
SHOWN = 8  # keys of a kind that a refusal names
Names = Mapping[str, str | Callable[[re.Match[str]], str]]
TORCHVISION: Names = {  # its names of ViT and ConvNeXt, in timm's
    r"^class_token$": "cls_token",
    r"^conv_proj\.": "patch_embed.proj.",
    r"^encoder\.pos_embedding$": "pos_embed",
    r"^encoder\.ln\.": "norm.",
    r"^heads\.head\.": "head.",
    r"^encoder\.layers\.encoder_layer_(\d+)\.": r"blocks.\1.",
    r"\.ln_(\d)\.": r".norm\1.",
    r"\.self_attention\.in_proj_": ".attn.qkv.",
    r"\.self_attention\.out_proj\.": ".attn.proj.",
    r"\.mlp\.(0|linear_1)\.": ".mlp.fc1.",
    r"\.mlp\.(3|linear_2)\.": ".mlp.fc2.",
    r"^features\.0\.": "stem.",
    r"^features\.([246])\.": lambda of: f"stages.{int(of[1]) // 2}.downsample.",
    r"^features\.([1357])\.(\d+)\.": lambda of: f"stages.{int(of[1]) // 2}.blocks.{of[2]}.",
    r"\.block\.0\.": ".conv_dw.",
    r"\.block\.2\.": ".norm.",
    r"\.block\.3\.": ".mlp.fc1.",
    r"\.block\.5\.": ".mlp.fc2.",
    r"\.layer_scale$": ".gamma",
    r"^classifier\.0\.": "head.norm.",
    r"^classifier\.2\.": "head.fc.",
}
UNKEPT = "num_batches_tracked"  # counts batches; old files lack it, and nothing here reads it


def load_weights(backbone: Backbone, path: str | Path) -> None:
    """Fill a backbone with public weights of its own architecture, whose names are timm's or torchvision's.

    Raises:
        InputError: the file cannot be read, lacks a parameter, or holds one that the backbone has not, or of another
            shape; the keys are named.
    """
    fill(backbone, timm_names(read_tensors(path), TORCHVISION), str(path))


def timm_names(tensors: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """Tensors under timm's names; `names`: patterns and what takes their place, one after the other."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in names.items():
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Name -> tensor.

    Raises:
        InputError: the file is missing, damaged, or would run code.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
        held = next((held[name] for name in NESTED if isinstance(held.get(name), Mapping)), held)
        return {name: tensor for name, tensor in held.items() if isinstance(tensor, Tensor)}
    except (OSError, SafetensorError, RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as weights ({reason}); give a .safetensors or a plain .pth") from None


def fill(backbone: Backbone, tensors: Mapping[str, Tensor], source: str) -> None:
    """Fill a backbone from tensors, in place.

    A first convolution of three colours is summed to one channel, which is what a grey picture shown three times would
    meet; positions learned on another grid are stretched; the classifier is left out.

    Raises:
        InputError: as `load_weights`.
    """
    own = backbone.state_dict()
    given = {
        name: _adapted(name, tensor, own[name]) if name in own else tensor
        for name, tensor in tensors.items()
        if not name.startswith(backbone.CLASSIFIER) and name not in SPARE
    }
    missing = [name for name in own if name not in given and not name.endswith(UNKEPT)]
    strange = [name for name in given if name not in own]
    misfits = [
        f"{name} is {tuple(given[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    problems = [
        f"{len(found)} {what}: {', '.join(found[:SHOWN])}" + (" and so on" if len(found) > SHOWN else "")
        for what, found in (("missing", missing), ("unexpected", strange), ("of another shape", misfits))
        if found
    ]
    if problems:
        raise InputError(f"{source} does not fit {type(backbone).__name__} {backbone.config}: {'; '.join(problems)}")
    backbone.load_state_dict(given, strict=False)


def _adapted(name: str, given: Tensor, own: Tensor) -> Tensor:
    if name.endswith(".gamma") and given.numel() == own.numel():
        return given.flatten()
    if given.ndim == own.ndim == 4 and own.shape[1] == 1 and given.shape[1] == 3:
        return given.sum(dim=1, keepdim=True)
    if name == "pos_embed" and given.ndim == 3 and given.shape[2] == own.shape[2] and given.shape != own.shape:
        places, wanted = (int((tensor.shape[1]) ** 0.5) for tensor in (given, own))  # an odd one is the class token's
        extra = own.shape[1] - wanted**2
        if given.shape[1] == places**2 + extra:
            return torch.cat([given[:, :extra], positions_for(given[:, extra:], (wanted, wanted))], dim=1)
    return given
