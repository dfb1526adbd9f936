"""Both layouts of DINOv2 encoders, as RAD-DINO and CheXFound have them, against one network of known weights."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from xray2xray.core.errors import InputError
from xray2xray.experiments.supervised.backbones import public_encoders
from xray2xray.experiments.supervised.backbones.public_encoders import read_encoder, timm_names
from xray2xray.experiments.supervised.backbones.vit import VisionTransformer, ViTConfig

SMALL = ViTConfig(32, 3, 2, patch=14, picture=56, layer_scale=1.0, channels=3)
RAD_DINO = ViTConfig(patch=14, picture=518, layer_scale=1.0, channels=3)
CHEXFOUND = ViTConfig(1024, 24, 16, patch=16, picture=512, layer_scale=1e-5, registers=4, channels=3)


def hugging_face(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors as `Dinov2Model` names them, written out by hand."""
    named = {"embeddings.mask_token": torch.zeros(1, tensors["cls_token"].shape[2])}
    for name, tensor in tensors.items():
        block = name.split(".")[1] if name.startswith("blocks.") else ""
        rest = ".".join(name.split(".")[2:]) if block else name
        layer = f"encoder.layer.{block}"
        kind = rest.rsplit(".", 1)[-1]
        if rest.startswith("attn.qkv"):
            for part, third in zip(("query", "key", "value"), tensor.chunk(3)):
                named[f"{layer}.attention.attention.{part}.{kind}"] = third.contiguous()
            continue
        named[
            {
                "cls_token": "embeddings.cls_token",
                "pos_embed": "embeddings.position_embeddings",
                "reg_token": "embeddings.register_tokens",
                "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
                "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
                "norm.weight": "layernorm.weight",
                "norm.bias": "layernorm.bias",
                "attn.proj.weight": f"{layer}.attention.output.dense.weight",
                "attn.proj.bias": f"{layer}.attention.output.dense.bias",
                "ls1.gamma": f"{layer}.layer_scale1.lambda1",
                "ls2.gamma": f"{layer}.layer_scale2.lambda1",
            }.get(rest, f"{layer}.{rest}")
        ] = tensor
    return named


def dinov2(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors as a teacher of DINOv2's training names them: in chunks of blocks, with the heads beside."""
    named = {"backbone.mask_token": torch.zeros(1, 4), "dino_head.mlp.0.weight": torch.zeros(3, 3)}
    for name, tensor in tensors.items():
        if name.startswith("blocks."):
            name = name.replace("blocks.", f"blocks.{int(name.split('.')[1]) // 2}.", 1)
        named["backbone." + {"reg_token": "register_tokens"}.get(name, name)] = tensor
    return named


def shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items() if name != "mask_token"}


@pytest.mark.parametrize(("config", "layout"), [(RAD_DINO, hugging_face), (CHEXFOUND, dinov2)])
def test_names_and_shapes_of_the_published_networks(config: ViTConfig, layout) -> None:
    with torch.device("meta"):
        own = VisionTransformer(config).state_dict()
        assert shapes(timm_names(layout(own))) == shapes(own)


def settings(config: ViTConfig) -> dict[str, object]:
    return {
        "model_type": "dinov2", "hidden_size": config.width, "num_hidden_layers": config.depth, "mlp_ratio": 4,
        "num_attention_heads": config.heads, "patch_size": config.patch, "image_size": config.picture,
        "layerscale_value": config.layer_scale,
    }  # fmt: skip


def scrambled(config: ViTConfig) -> VisionTransformer:
    torch.manual_seed(2)
    encoder = VisionTransformer(config).eval()
    for parameter in encoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return encoder


def test_a_hugging_face_folder_is_the_encoder(tmp_path: Path) -> None:
    public = scrambled(SMALL)
    save_file(hugging_face(public.state_dict()), tmp_path / "model.safetensors")
    torch.save({}, tmp_path / "pytorch_model.bin")  # the same again in other files: the safe one is read
    (tmp_path / "config.json").write_text(json.dumps(settings(SMALL)))
    encoder = read_encoder(tmp_path)
    assert encoder.config == replace(SMALL, channels=1)
    x = torch.randn(2, 1, 56, 70)
    torch.testing.assert_close(encoder(x), public(x.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)


def test_a_folder_of_dinov2s_training_is_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(SMALL, patch=16, picture=64, registers=4, layer_scale=1e-5)
    monkeypatch.setitem(public_encoders.ARCHITECTURES, "vit_large", (32, 3, 2))
    public = scrambled(config)
    torch.save({"teacher": dinov2(public.state_dict())}, tmp_path / "teacher_checkpoint.pth")
    student = {"arch": "vit_large", "patch_size": 16, "layerscale": 1e-5, "num_register_tokens": 4, "ffn_layer": "mlp"}
    given = {"student": student, "crops": {"global_crops_size": 64}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given))
    encoder = read_encoder(tmp_path)
    assert encoder.config == replace(config, channels=1)
    x = torch.randn(1, 1, 64, 64)
    torch.testing.assert_close(encoder(x), public(x.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)

    student["ffn_layer"] = "swiglufused"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(InputError, match="plain perceptrons"):
        read_encoder(tmp_path)


def test_folders_that_are_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither config"):
        read_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(settings(SMALL) | {"model_type": "clip"}))
    with pytest.raises(InputError, match="only Dinov2 models"):
        read_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(settings(SMALL)))
    with pytest.raises(InputError, match="holds 0 files of weights"):
        read_encoder(tmp_path)
    tensors = hugging_face(VisionTransformer(SMALL).state_dict())
    del tensors["encoder.layer.1.attention.attention.key.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"1 missing, such as blocks\.1\.attn\.qkv\.weight; 2 unknown"):
        read_encoder(tmp_path)
