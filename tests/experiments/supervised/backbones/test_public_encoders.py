"""Both layouts of DINOv2 encoders, as RAD-DINO and CheXFound have them, against one network of known weights."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from tests.experiments.supervised.backbones.published import dinov2_teacher, hugging_face_dinov2
from xray2xray.core.errors import InputError
from xray2xray.experiments.downstream.features import format_of
from xray2xray.experiments.pretraining.encoder_file import FORM, load_encoder
from xray2xray.experiments.supervised.backbones import public_encoders
from xray2xray.experiments.supervised.backbones.public_encoders import is_public, joined, read_encoder
from xray2xray.experiments.supervised.backbones.vit import SwiGLU, VisionTransformer, ViTConfig
from xray2xray.experiments.supervised.backbones.weights import fill

SMALL = ViTConfig(32, 3, 2, patch=14, picture=56, layer_scale=1.0, channels=3)
PUBLISHED = {
    "RAD-DINO": (ViTConfig(patch=14, picture=518, layer_scale=1.0), hugging_face_dinov2(768, 12, 14, 518)),
    "CheXFound": (
        ViTConfig(1024, 24, 16, patch=16, picture=512, layer_scale=1e-5, registers=4, gated=True),
        dinov2_teacher(1024, 24, 16, 512, registers=4, swiglu=True, chunks=4),
    ),
    "CheXFound, plain perceptrons": (
        ViTConfig(1024, 24, 16, patch=16, picture=512, layer_scale=1e-5),
        dinov2_teacher(1024, 24, 16, 512),
    ),
    "DINOv2 giant with registers": (
        ViTConfig(1536, 40, 24, patch=14, picture=518, layer_scale=1.0, registers=4, gated=True),
        hugging_face_dinov2(1536, 40, 14, 518, registers=4, swiglu=True),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_keys_and_shapes_are_the_published_ones(name: str) -> None:
    config, published = PUBLISHED[name]
    with torch.device("meta"):
        own = VisionTransformer(config)
        tensors = joined({key: torch.empty(shape) for key, shape in published.items()})
        wanted = VisionTransformer(replace(config, channels=3)).state_dict()
        found = {key: tensor.shape for key, tensor in tensors.items() if key != "mask_token"}
        assert found == {key: tensor.shape for key, tensor in wanted.items()}
        fill(own, tensors, name)
        for key in ("pos_embed", "blocks.11.mlp.fc1.weight", "blocks.0.ls1.gamma", "blocks.7.attn.qkv.bias"):
            with pytest.raises(InputError, match=f"1 missing: {re.escape(key)}$"):
                fill(own, {other: tensor for other, tensor in tensors.items() if other != key}, name)
        with pytest.raises(InputError, match=r"1 unexpected: neck$"):
            fill(own, tensors | {"neck": torch.empty(3)}, name)


def test_parameters_are_as_many_as_published() -> None:
    """RAD-DINO is DINOv2's ViT-B/14, of 86.6 million; DINOv2's giant has 1.1 thousand million."""
    with torch.device("meta"):
        millions = {
            name: sum(p.numel() for p in VisionTransformer(replace(config, channels=3)).parameters()) / 1e6
            for name, (config, _) in PUBLISHED.items()
        }
    assert millions["RAD-DINO"] == pytest.approx(86.58, abs=0.01)
    assert millions["CheXFound, plain perceptrons"] == pytest.approx(304, abs=1)
    assert millions["DINOv2 giant with registers"] == pytest.approx(1136, abs=2)


def test_a_gated_perceptron() -> None:
    torch.manual_seed(0)
    mlp, x = SwiGLU(12, 4), torch.randn(3, 12)
    assert mlp.fc1.weight.shape == (64, 12)  # 48 x 2 / 3 = 32, twice
    gate, hidden = x @ mlp.fc1.weight[:32].T + mlp.fc1.bias[:32], x @ mlp.fc1.weight[32:].T + mlp.fc1.bias[32:]
    wanted = (gate * torch.sigmoid(gate) * hidden) @ mlp.fc2.weight.T + mlp.fc2.bias
    torch.testing.assert_close(mlp(x), wanted)


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


def settings(config: ViTConfig) -> dict[str, object]:
    return {
        "model_type": "dinov2", "hidden_size": config.width, "num_hidden_layers": config.depth, "mlp_ratio": 4,
        "num_attention_heads": config.heads, "patch_size": config.patch, "image_size": config.picture,
        "layerscale_value": config.layer_scale, "use_swiglu_ffn": config.gated,
    }  # fmt: skip


def standardised(grey: Tensor, mean: tuple[float, ...], sd: tuple[float, ...]) -> Tensor:
    """A grey picture in three colours, as preprocessing scales them."""
    return (grey.expand(-1, 3, -1, -1) - torch.tensor(mean)[:, None, None]) / torch.tensor(sd)[:, None, None]


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
    mean, sd = (0.5307, 0.53, 0.5), (0.2583, 0.25, 0.26)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": mean, "image_std": sd}))
    encoder = read_encoder(tmp_path)
    assert encoder.config == replace(SMALL, channels=1, antialias=False)
    x = torch.rand(2, 1, 56, 56)
    torch.testing.assert_close(encoder(x), public(standardised(x, mean, sd)), atol=1e-4, rtol=1e-3)

    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5], "image_std": [1]}))
    with pytest.raises(InputError, match=r"preprocessor_config\.json is no preprocessing"):
        read_encoder(tmp_path)


def test_a_folder_of_dinov2s_training_is_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(SMALL, patch=16, picture=64, registers=4, layer_scale=1e-5, gated=True)
    monkeypatch.setitem(public_encoders.ARCHITECTURES, "vit_large", (32, 3, 2))
    public = scrambled(config)
    torch.save({"teacher": dinov2(public.state_dict())}, tmp_path / "teacher_checkpoint.pth")
    student = {
        "arch": "vit_large",
        "patch_size": 16,
        "layerscale": 1e-5,
        "num_register_tokens": 4,
        "ffn_layer": "swiglufused",
    }
    given = {"student": student, "crops": {"global_crops_size": 64}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given))
    encoder = read_encoder(tmp_path)
    assert encoder.config == replace(config, channels=1, antialias=False, offset=0.1)
    x = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(encoder(x), public(standardised(x, *public_encoders.IMAGENET)), atol=1e-4, rtol=1e-3)

    views_p = np.random.default_rng(0).uniform(0, 7, (3, 64, 64)).astype(np.float32)
    assert is_public(tmp_path)
    assert format_of(tmp_path) == FORM
    loaded = load_encoder(tmp_path)
    features, tokens = loaded.read_views(views_p)
    with torch.no_grad():
        wanted = encoder(torch.from_numpy(views_p)[:, None] / 7)
    assert features == pytest.approx(wanted.numpy(), abs=1e-4)
    assert tokens.shape == (3, 16, 32)
    assert loaded.features(views_p[:, ::2, ::2]).shape == (3, 32), "views of another size are resized"

    student["ffn_layer"] = "identity"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(InputError, match="plain or SwiGLU"):
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
    with pytest.raises(InputError, match=r"1 missing: blocks\.1\.attn\.qkv\.weight; 2 unexpected: blocks.1.attn.query"):
        read_encoder(tmp_path)
