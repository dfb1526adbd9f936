import json
from pathlib import Path

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.experiments.pretraining.encoder import Encoder, TokenEncoder, ViTEncoder
from xray2xray.experiments.pretraining.encoder_file import load_encoder, write_encoder
from xray2xray.experiments.pretraining.networks.igpt import ImageGPT, ImageGPTConfig
from xray2xray.experiments.supervised.backbones.vit import VisionTransformer, ViTConfig
from xray2xray.models.vision.normalise import to_network
from xray2xray.models.vision.vqgan import VisionConfig, VisionModel

VIEWS = np.random.default_rng(0).uniform(0, 8, (5, 32, 32)).astype(np.float32)


def encoders() -> list[Encoder]:
    torch.manual_seed(0)
    vit = VisionTransformer(ViTConfig(16, 2, 2, patch=8, picture=32, registers=3))
    vision = VisionModel(VisionConfig(32, (8, 16), (1, 1), 8, 8, 32))
    gpt = ImageGPT(ImageGPTConfig(16, 32, 16, 2, 2))
    return [ViTEncoder(vit, "class"), ViTEncoder(vit, "mean"), TokenEncoder(vision, gpt)]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_on_disk(number: int, tmp_path: Path) -> None:
    encoder = encoders()[number].eval()
    write_encoder(tmp_path, encoder, {"method": "test"})
    read = load_encoder(tmp_path)
    assert read.notes["method"] == "test"
    assert not any(parameter.requires_grad for parameter in read.parameters())
    for one, other in zip(encoder.read_views(VIEWS), read.read_views(VIEWS)):
        assert one.dtype == np.float32
        assert one == pytest.approx(other, abs=0.02)  # float16 on disk
    path = next(tmp_path.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match="sha256"):
        load_encoder(tmp_path)


def test_class_token_and_mean_over_the_patches() -> None:
    by_class, by_mean, _ = encoders()
    assert isinstance(by_class, ViTEncoder)
    x = to_network(torch.from_numpy(VIEWS))[:, None]
    with torch.no_grad():
        assert by_class.features(VIEWS) == pytest.approx(by_class.vit(x).numpy(), abs=1e-5)
    assert by_mean.features(VIEWS) == pytest.approx(by_mean.tokens(VIEWS).mean(axis=1), abs=1e-5)
    assert by_mean.tokens(VIEWS).shape == (5, 16, 16)  # neither the class token nor registers
    assert by_class.features(VIEWS[0]) == pytest.approx(by_class.features(VIEWS)[:1], abs=1e-5)
    assert by_class.tokens(np.zeros((1, 48, 32), np.uint8)).shape == (1, 24, 16)  # a transformer reads any size


def test_what_cannot_be_read(tmp_path: Path) -> None:
    by_class, _, tokens = encoders()
    with pytest.raises(InputError, match=r"\(n, h, w\)"):
        by_class.features(VIEWS[None])
    with pytest.raises(InputError, match="NaN"):
        by_class.features(np.full((1, 32, 32), np.nan))
    with pytest.raises(InputError, match="32 x 32 pixels, got 32 x 40"):
        tokens.features(np.zeros((1, 32, 40)))
    with pytest.raises(InputError, match="cannot be read"):
        load_encoder(tmp_path / "none")
    write_encoder(tmp_path, by_class, {})
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"pooling": "max"}))
    with pytest.raises(InputError, match="no pooling 'max'"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": "xray2xray-world-model"}))
    with pytest.raises(InputError, match="expected"):
        load_encoder(tmp_path)
