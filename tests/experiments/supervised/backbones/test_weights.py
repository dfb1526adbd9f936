"""Public weights from a file: three colours become one, other grids stretch, and what does not fit is said."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from xray2xray.core.errors import InputError
from xray2xray.experiments.supervised.backbones import METHODS, build_backbone
from xray2xray.experiments.supervised.backbones.vit import VisionTransformer
from xray2xray.experiments.supervised.backbones.weights import load_weights

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
        "1 missing, such as blocks.1.attn.qkv.weight",
        "1 unknown, such as blocks.2.norm1.weight",
        "norm.weight is (31,), not (32,)",
        "broken.safetensors",
    ):
        assert words in str(raised.value)
    assert torch.equal(own.norm.weight, before)


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
