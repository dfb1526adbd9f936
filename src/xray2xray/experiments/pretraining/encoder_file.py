"""An encoder as a folder, as `pretrained` has it: safetensors of float16 numbers, config.json with their sha256."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ...core.errors import InputError
from ...io.model_folder import read_config, read_part, with_tuples, write_part
from ...models.vision.vqgan import VisionConfig, VisionModel
from ..supervised.backbones.public_encoders import is_public, read_encoder
from ..supervised.backbones.vit import VisionTransformer, ViTConfig
from .encoder import Encoder, PublicEncoder, TokenEncoder, ViTEncoder
from .networks.igpt import ImageGPT, ImageGPTConfig

FORM = "xray2xray-encoder"
VIT, VISION, GPT = "encoder", "vision", "igpt"  # parts; an encoder has the first, or the other two


def write_encoder(folder: Path, encoder: Encoder, notes: Mapping[str, Any]) -> None:
    """Write an encoder; `notes` are what else config.json should say of it, JSON types only."""
    parts: dict[str, nn.Module]
    if isinstance(encoder, ViTEncoder):
        parts, how = {VIT: encoder.vit}, {"pooling": encoder.pooling}
    elif isinstance(encoder, TokenEncoder):
        parts, how = {VISION: encoder.vision, GPT: encoder.gpt}, {}
    else:
        raise TypeError(f"{type(encoder).__name__} has no file format")
    for name, part in parts.items():
        write_part(folder, name, part, {**notes, **how}, FORM)


def load_encoder(folder: str | Path) -> Encoder:
    """The encoder of a folder that `write_encoder` wrote, or of a public one (`read_encoder`), on the CPU.

    Raises:
        InputError: files are missing, damaged, neither ours nor public, or do not fit.
    """
    folder = Path(folder)
    if is_public(folder):
        return PublicEncoder(read_encoder(folder)).eval().requires_grad_(False)
    config = read_config(folder, FORM)
    encoder: Encoder
    try:
        if VIT in config:
            encoder = ViTEncoder(VisionTransformer(ViTConfig(**config[VIT])), config["pooling"])
            parts: dict[str, nn.Module] = {VIT: encoder.vit}
        else:
            vision = VisionModel(VisionConfig(**with_tuples(config[VISION])))
            encoder = TokenEncoder(vision, ImageGPT(ImageGPTConfig(**config[GPT])))
            parts = {VISION: encoder.vision, GPT: encoder.gpt}
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder / 'config.json'} describes no encoder ({error}); copy the folder again") from None
    for name, part in parts.items():
        read_part(folder, name, part, FORM)
    encoder.notes = {key: value for key, value in config.items() if key not in (VIT, VISION, GPT, "sha256")}
    return encoder.eval().requires_grad_(False)
