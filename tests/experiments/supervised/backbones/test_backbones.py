"""The networks are the published ones: as many parameters, timm's names, any size of picture."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from xray2xray.core.errors import UsageError
from xray2xray.experiments.supervised.backbones import METHODS, build_backbone
from xray2xray.experiments.supervised.backbones.backbone import parameters_of
from xray2xray.experiments.supervised.backbones.patches import PatchEmbed, positions_for
from xray2xray.experiments.supervised.backbones.vit import VisionTransformer, ViTConfig


# He et al. as counted by the public weights; Dosovitskiy et al.; Liu et al., table 1; Zhu et al., table 1 (with a class
# token of 384 numbers besides, and rounded)
@pytest.mark.parametrize(
    ("method", "millions", "digits"),
    [("resnet", 25.56, 2), ("vit", 86.57, 2), ("convnext", 28.59, 2), ("bi_mamba", 26, 0)],
)
def test_published_sizes(method: str, millions: float, digits: int) -> None:
    network = METHODS[method]
    with torch.device("meta"):
        backbone = network(replace(network.SIZES["paper"], channels=3))
        classifier = nn.Linear(backbone.width, 1000)
    assert round((parameters_of(backbone) + parameters_of(classifier)) / 1e6, digits) == millions


@pytest.mark.parametrize("method", METHODS)
def test_any_picture_becomes_features(method: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(method, "tiny")
    for height, width in ((32, 32), (45, 50)):
        features = backbone(torch.randn(2, 1, height, width))
        assert features.shape == (2, backbone.width)
        assert features.isfinite().all()
    features.square().sum().backward()
    silent = [name for name, p in backbone.named_parameters() if p.grad is None]
    assert silent == []


@pytest.mark.parametrize("method", METHODS)
def test_features_depend_on_every_corner(method: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(method, "tiny").eval()
    for parameter in backbone.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # branches that begin at zero take part
    picture = torch.randn(1, 1, 32, 32, requires_grad=True)
    (backbone(picture) * torch.randn(backbone.width)).sum().backward()
    assert picture.grad is not None
    patches = picture.grad.abs().unfold(2, 8, 8).unfold(3, 8, 8).sum(dim=(4, 5))
    assert (patches > 0).all()


def test_the_plain_network_sees_64_pixels() -> None:
    torch.manual_seed(0)
    backbone = build_backbone("cnn64").eval()
    assert parameters_of(backbone) == pytest.approx(0.29e6, rel=0.02)
    picture = torch.randn(2, 1, 128, 128)
    small = picture.unflatten(3, (64, 2)).unflatten(2, (64, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(backbone(picture), backbone(small))


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="there are resnet, vit, convnext, bi_mamba, cnn64"):
        build_backbone("vgg")
    with pytest.raises(UsageError, match="its sizes are tiny, small, paper"):
        build_backbone("vit", "giant")


# as timm.create_model(...).state_dict() has them
NAMES = {
    "resnet": [
        "conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer1.0.bn3.bias",
        "layer1.0.downsample.0.weight", "layer1.0.downsample.1.running_var",
        "layer2.3.conv2.weight", "layer3.5.bn2.weight", "layer4.2.conv3.weight",
    ],
    "vit": [
        "cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias", "blocks.0.norm1.weight",
        "blocks.11.attn.qkv.bias", "blocks.3.attn.proj.weight", "blocks.3.norm2.bias", "blocks.3.mlp.fc1.weight",
        "blocks.3.mlp.fc2.bias", "norm.weight",
    ],
    "convnext": [
        "stem.0.weight", "stem.1.bias", "stages.1.downsample.0.weight", "stages.3.downsample.1.bias",
        "stages.2.blocks.8.conv_dw.weight", "stages.0.blocks.0.norm.weight", "stages.0.blocks.2.mlp.fc1.weight",
        "stages.0.blocks.2.mlp.fc2.bias", "stages.3.blocks.2.gamma", "head.norm.weight",
    ],
}  # fmt: skip
COUNTS = {"resnet": 318, "vit": 150, "convnext": 180}  # of timm's tensors, without the classifier's two


@pytest.mark.parametrize("method", NAMES)
def test_names_are_timms(method: str) -> None:
    with torch.device("meta"):
        own = build_backbone(method).state_dict()
    assert [name for name in NAMES[method] if name not in own] == []
    assert len(own) == COUNTS[method]


def test_dinov2_adds_scales_and_registers() -> None:
    with torch.device("meta"):
        own = VisionTransformer(ViTConfig(32, 2, 2, layer_scale=1.0, registers=4)).state_dict()
    assert {"blocks.1.ls1.gamma", "blocks.0.ls2.gamma", "reg_token"} <= own.keys()


def test_positions_stretch_smoothly() -> None:
    ramp = torch.arange(8.0)[:, None, None].expand(8, 8, 1).reshape(1, 64, 1)  # grows with the row
    assert positions_for(ramp, (8, 8)) is ramp
    wide = positions_for(ramp, (8, 16)).view(8, 16)
    torch.testing.assert_close(wide, torch.arange(8.0)[:, None].expand(8, 16))
    tall = positions_for(ramp, (16, 8)).view(16, 8)
    assert (tall.diff(dim=0) > 0).all()


def test_odd_sides_are_continued() -> None:
    torch.manual_seed(0)
    embed = PatchEmbed(1, 4, 8)
    picture = torch.randn(1, 1, 8, 12)
    tokens, grid = embed(picture)
    assert grid == (1, 2)
    whole = torch.cat([picture, picture[..., -1:].expand(-1, -1, -1, 4)], dim=3)
    torch.testing.assert_close(tokens, embed(whole)[0])
