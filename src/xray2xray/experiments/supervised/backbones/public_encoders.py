"""Public encoders of chest radiographs, given as a local folder with their configuration and weights.

Two layouts of one network, DINOv2's ViT (Oquab et al. 2023, arXiv 2304.07193):

- Hugging Face's `Dinov2Model`, as RAD-DINO (Perez-Garcia et al. 2025, arXiv 2401.10815, a ViT-B/14): config.json;
- the teacher of DINOv2's own training, as CheXFound (Yang et al. 2025, arXiv 2502.05142, a ViT-L/16): config.yaml.

The encoders expect pictures as their own preprocessing makes them; here a grey picture is all three of their colours.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from ....core.errors import InputError
from .vit import VisionTransformer, ViTConfig
from .weights import fill, read_tensors

ARCHITECTURES = {
    "vit_small": (384, 12, 6),
    "vit_base": (768, 12, 12),
    "vit_large": (1024, 24, 16),
}  # width, depth, heads
WEIGHTS = (".safetensors", ".bin", ".pth", ".pt")
RENAMED = {
    r"^(module\.|backbone\.|dinov2\.)+": "",  # around a network in training
    r"^blocks\.\d+\.(\d+\.)": r"blocks.\1",  # blocks in chunks, numbered through
    r"^register_tokens$": "reg_token",
    r"^embeddings\.register_tokens$": "reg_token",
    r"^embeddings\.position_embeddings$": "pos_embed",
    r"^embeddings\.patch_embeddings\.projection\.": "patch_embed.proj.",
    r"^embeddings\.": "",
    r"^layernorm\.": "norm.",
    r"^encoder\.layer\.": "blocks.",
    r"\.attention\.output\.dense\.": ".attn.proj.",
    r"\.attention\.attention\.(query|key|value)\.": r".attn.\1.",
    r"\.layer_scale(\d)\.lambda1$": r".ls\1.gamma",
}
PRETRAINING = ("dino_head.", "ibot_head.")  # heads that no encoder needs


def read_encoder(folder: str | Path) -> VisionTransformer:
    """The encoder of a folder, for pictures of one channel.

    Raises:
        InputError: the folder holds no configuration or not one file of weights, the network is another, or the weights
            do not fit: every name and shape is checked.
    """
    folder = Path(folder)
    config = _config(folder)
    files = [path for path in sorted(folder.glob("*")) if path.suffix in WEIGHTS]
    files = [path for path in files if path.suffix == ".safetensors"] or files
    if len(files) != 1:
        raise InputError(f"{folder} holds {len(files)} files of weights ({', '.join(WEIGHTS)}); leave one there")
    encoder = VisionTransformer(config)
    fill(encoder, timm_names(read_tensors(files[0])), str(files[0]))
    return encoder.eval()


def timm_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of either layout under the names of `VisionTransformer`; queries, keys and values joined."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(PRETRAINING):
            continue
        for pattern, replacement in RENAMED.items():
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    for name in [name for name in renamed if ".attn.query." in name]:
        parts = [name.replace("query", part) for part in ("query", "key", "value")]
        if all(part in renamed for part in parts):
            renamed[name.replace("query", "qkv")] = torch.cat([renamed.pop(part) for part in parts])
    return renamed


def _config(folder: Path) -> ViTConfig:
    """Of config.json (Hugging Face) or config.yaml (DINOv2's training)."""
    try:
        if (folder / "config.json").is_file():
            return _of_hugging_face(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        return _of_dinov2(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(
            f"{folder} holds neither config.json nor config.yaml; copy the encoder's whole folder"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise InputError(f"{folder}: its configuration is not that of a DINOv2 encoder ({error})") from None


def _of_hugging_face(given: Mapping[str, Any]) -> ViTConfig:
    if not str(given["model_type"]).startswith("dinov2") or given.get("use_swiglu_ffn"):
        raise ValueError("only Dinov2 models with plain perceptrons are read")
    return ViTConfig(
        given["hidden_size"], given["num_hidden_layers"], given["num_attention_heads"], given["patch_size"],
        given["image_size"], given.get("mlp_ratio", 4), given.get("layerscale_value", 1.0),
        given.get("num_register_tokens", 0),
    )  # fmt: skip


def _of_dinov2(given: Mapping[str, Any]) -> ViTConfig:
    student = given["student"]
    if student["arch"] not in ARCHITECTURES or student.get("ffn_layer", "mlp") != "mlp":
        raise ValueError(f"only {', '.join(ARCHITECTURES)} with plain perceptrons are read")
    return ViTConfig(
        *ARCHITECTURES[student["arch"]], student["patch_size"], given["crops"]["global_crops_size"],
        layer_scale=student.get("layerscale") or None, registers=student.get("num_register_tokens", 0),
    )  # fmt: skip
