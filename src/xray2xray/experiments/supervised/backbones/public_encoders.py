"""Public encoders of chest radiographs, given as a local folder with their configuration and weights.

Two layouts of one network, DINOv2's ViT (Oquab et al. 2023, arXiv 2304.07193):

- Hugging Face's `Dinov2Model`, as RAD-DINO (Perez-Garcia et al. 2025, arXiv 2401.10815, a ViT-B/14): config.json;
- the teacher of DINOv2's own training, as CheXFound (Yang et al. 2025, arXiv 2502.05142, a ViT-L/16): config.yaml.

The encoders expect three colours as their own preprocessing scales them. Here one grey is all of these, and mean and
SD of preprocessor_config.json, else ImageNet's, which DINOv2 takes, become part of the first convolution.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from ....core.errors import InputError
from .vit import VisionTransformer, ViTConfig
from .weights import fill, read_tensors, timm_names

ARCHITECTURES = {
    "vit_small": (384, 12, 6),
    "vit_base": (768, 12, 12),
    "vit_large": (1024, 24, 16),
    "vit_giant2": (1536, 40, 24),
}  # width, depth, heads
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WEIGHTS = (".safetensors", ".bin", ".pth", ".pt")
MAIN = ("model.safetensors", "pytorch_model.bin")  # of Hugging Face's layout, beside which RAD-DINO has other files
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
    r"\.mlp\.(w12|weights_in)\.": ".mlp.fc1.",
    r"\.mlp\.(w3|weights_out)\.": ".mlp.fc2.",
}
PRETRAINING = ("dino_head.", "ibot_head.")  # heads that no encoder needs


def is_public(folder: Path) -> bool:
    """Whether a folder is laid out like one of these, rather than like a model of ours."""
    config = folder / "config.json"
    try:
        return "model_type" in json.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return (folder / "config.yaml").is_file()
    except (OSError, ValueError, TypeError):
        return False


def read_encoder(folder: str | Path) -> VisionTransformer:
    """The encoder of a folder, for pictures of one channel whose black is 0 and whose white is 1.

    Raises:
        InputError: the folder holds no configuration or not one file of weights, the network is another, or the weights
            do not fit: every name and shape is checked.
    """
    folder = Path(folder)
    config, (mean, sd) = _config(folder), _preprocessing(folder)
    path = _weights_file(folder)
    encoder, tensors = VisionTransformer(config), joined(read_tensors(path))
    first, bias = "patch_embed.proj.weight", "patch_embed.proj.bias"
    if first in tensors and bias in tensors and tensors[first].shape[1] == 3:
        scaled = tensors[first].float() / sd[:, None, None]
        tensors[first] = scaled
        tensors[bias] = tensors[bias].float() - (scaled * mean[:, None, None]).sum(dim=(1, 2, 3))
    fill(encoder, tensors, str(path))
    return encoder.eval()


def joined(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of either layout under the names of `VisionTransformer`; queries, keys and values joined."""
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(PRETRAINING)}
    renamed = timm_names(kept, RENAMED)
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
    if not str(given["model_type"]).startswith("dinov2"):
        raise ValueError("only Dinov2 models are read")
    registers = given.get("num_register_tokens", 0)
    return ViTConfig(
        given["hidden_size"], given["num_hidden_layers"], given["num_attention_heads"], given["patch_size"],
        given["image_size"], given.get("mlp_ratio", 4), given.get("layerscale_value", 1.0), registers,
        gated=bool(given.get("use_swiglu_ffn")), antialias=registers > 0,
    )  # fmt: skip


def _of_dinov2(given: Mapping[str, Any]) -> ViTConfig:
    student = given["student"]
    if student["arch"] not in ARCHITECTURES or student.get("ffn_layer", "mlp") not in ("mlp", "swiglu", "swiglufused"):
        raise ValueError(f"only {', '.join(ARCHITECTURES)} with perceptrons, plain or SwiGLU, are read")
    return ViTConfig(
        *ARCHITECTURES[student["arch"]], student["patch_size"], given["crops"]["global_crops_size"],
        layer_scale=student.get("layerscale", 1e-5) or None, registers=student.get("num_register_tokens", 0),
        gated=student.get("ffn_layer", "mlp") != "mlp", antialias=student.get("interpolate_antialias", False),
        offset=student.get("interpolate_offset", 0.1),
    )  # fmt: skip


def _preprocessing(folder: Path) -> tuple[Tensor, Tensor]:
    """Mean and SD of each colour, (3,)."""
    path = folder / "preprocessor_config.json"
    try:
        given = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        mean, sd = torch.tensor(given.get("image_mean", IMAGENET[0])), torch.tensor(given.get("image_std", IMAGENET[1]))
        if mean.shape != (3,) or sd.shape != (3,) or not (sd > 0).all():
            raise ValueError("image_mean and image_std are three numbers each, the latter positive")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no preprocessing that can be read ({error}); copy it again") from None
    return mean, sd


def _weights_file(folder: Path) -> Path:
    for name in MAIN:
        if (folder / name).is_file():
            return folder / name
    files = [path for path in sorted(folder.glob("*")) if path.suffix in WEIGHTS]
    files = [path for path in files if path.suffix == ".safetensors"] or files
    if len(files) != 1:
        raise InputError(f"{folder} holds {len(files)} files of weights ({', '.join(WEIGHTS)}); leave one there")
    return files[0]
