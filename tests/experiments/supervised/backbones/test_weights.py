"""Public weights from a file: three colours become one, other grids stretch, and what does not fit is said."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.experiments.supervised.backbones.published import (
    resnet50,
    timm_convnext,
    timm_vit,
    torchvision_convnext,
    torchvision_vit,
)
from xray2xray.core.errors import InputError
from xray2xray.experiments.supervised.backbones import METHODS, build_backbone
from xray2xray.experiments.supervised.backbones.vit import Attention, VisionTransformer
from xray2xray.experiments.supervised.backbones.weights import TORCHVISION, UNKEPT, fill, load_weights, timm_names

TINY = VisionTransformer.SIZES["tiny"]


def public(method: str = "vit", **changes: object) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A colour network with random weights, and its tensors with a classifier, as they are published."""
    torch.manual_seed(1)
    network = METHODS[method]
    colour = network(replace(network.SIZES["tiny"], channels=3, **changes)).eval()
    classifier = {f"{network.CLASSIFIER}{part}": torch.zeros(2, 3) for part in ("weight", "bias")}
    return colour, colour.state_dict() | classifier


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_grey_picture_means_the_same(method: str, suffix: str, tmp_path: Path) -> None:
    colour, tensors = public(method)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": tensors, "epoch": 3}, path)
    else:
        save_file(tensors, path)
    own = build_backbone(method, "tiny").eval()
    load_weights(own, path)
    x = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(own(x), colour(x.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)


def test_positions_of_another_grid_stretch(tmp_path: Path) -> None:
    colour, tensors = public(picture=64)
    save_file(tensors, tmp_path / "large.safetensors")
    own = VisionTransformer(TINY).eval()
    load_weights(own, tmp_path / "large.safetensors")
    x = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(own(x), colour(x.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    _, tensors = public()
    own = VisionTransformer(TINY)
    before = own.norm.weight.clone()
    broken = {name: tensor for name, tensor in tensors.items() if name != "blocks.1.attn.qkv.weight"}
    broken |= {"blocks.2.norm1.weight": torch.zeros(32), "norm.weight": torch.zeros(31)}
    save_file(broken, tmp_path / "broken.safetensors")
    with pytest.raises(InputError) as raised:
        load_weights(own, tmp_path / "broken.safetensors")
    for words in (
        "1 missing: blocks.1.attn.qkv.weight;",
        "1 unexpected: blocks.2.norm1.weight;",
        "1 of another shape: norm.weight is (31,), not (32,)",
        "broken.safetensors",
    ):
        assert words in str(raised.value)
    assert torch.equal(own.norm.weight, before)


# torchvision's documentation and timm's model cards count them
PUBLISHED = {
    "ResNet50_Weights": ("resnet", resnet50(), 25_557_032),
    "ViT_B_16_Weights": ("vit", torchvision_vit(), 86_567_656),
    "ConvNeXt_Tiny_Weights": ("convnext", torchvision_convnext(), 28_589_128),
    "vit_base_patch16_224": ("vit", timm_vit(), 86_567_656),
    "convnext_tiny": ("convnext", timm_convnext(), 28_589_128),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_keys_and_shapes_are_the_published_ones(name: str) -> None:
    method, published, parameters = PUBLISHED[name]
    running = ("running_mean", "running_var", UNKEPT)
    assert sum(math.prod(shape) for key, shape in published.items() if not key.endswith(running)) == parameters
    with torch.device("meta"):
        own = build_backbone(method)
        tensors = timm_names({key: torch.empty(shape) for key, shape in published.items()}, TORCHVISION)
        network = type(own)
        colour = network(replace(network.SIZES["paper"], channels=3)).state_dict()
        wanted = {key: tensor.numel() for key, tensor in colour.items()}
        given = {key: t.numel() for key, t in tensors.items() if not key.startswith(network.CLASSIFIER)}
        assert given == wanted
        fill(own, tensors, name)
        lost = next(key for key in wanted if key.endswith("weight"))
        with pytest.raises(InputError, match=f"1 missing: {re.escape(lost)}$"):
            fill(own, {key: tensor for key, tensor in tensors.items() if key != lost}, name)


def test_queries_keys_and_values_lie_as_in_torchs_own_attention() -> None:
    torch.manual_seed(0)
    theirs, ours, x = nn.MultiheadAttention(16, 4, batch_first=True), Attention(16, 4), torch.randn(2, 5, 16)
    nn.init.normal_(theirs.in_proj_bias)
    named = {f"encoder.layers.encoder_layer_0.self_attention.{k}": v for k, v in theirs.state_dict().items()}
    ours.load_state_dict({k.removeprefix("blocks.0.attn."): v for k, v in timm_names(named, TORCHVISION).items()})
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def test_many_keys_are_counted() -> None:
    with torch.device("meta"), pytest.raises(InputError, match=r"150 missing: cls_token, pos_embed, .* and so on$"):
        fill(build_backbone("vit"), {}, "empty.pth")


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("run",))


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    own = VisionTransformer(TINY)
    torch.save({"cls_token": Evil()}, tmp_path / "evil.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    (tmp_path / "cut.pth").write_bytes(b"cut")
    for name in ("evil.pth", "list.pth", "cut.safetensors", "cut.pth", "gone.pth", "gone.safetensors"):
        with pytest.raises(InputError, match=f"{name} cannot be read as weights"):
            load_weights(own, tmp_path / name)
