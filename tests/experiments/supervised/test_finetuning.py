"""Fine-tuning begins with what an encoder knows, changes all of it, and is saved like any supervised network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError, UsageError
from xray2xray.experiments.pretraining.encoder import ViTEncoder
from xray2xray.experiments.pretraining.encoder_file import load_encoder, write_encoder
from xray2xray.experiments.supervised.backbones.vit import VisionTransformer
from xray2xray.experiments.supervised.finetuning import FineTunedNetwork, open_backbone
from xray2xray.models.transitions import (
    AutoregressiveConfig,
    AutoregressiveTransition,
    DirectConfig,
    DirectTransition,
)
from xray2xray.models.vision import VisionConfig, VisionModel
from xray2xray.models.vision.normalise import to_network
from xray2xray.models.world_model import WorldModel

SIZE, N = 32, 120
VISION = VisionConfig(size=SIZE, widths=(8, 16), blocks=(1, 1), head_width=4, latent_dim=8, codebook_size=16)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A world model and an encoder that have learned nothing."""
    torch.manual_seed(0)
    made = {name: tmp_path_factory.mktemp(name) for name in ("model", "encoder")}
    direct = DirectConfig(VISION.tokens, VISION.latent_dim, 32, 2, 1, 1, 16, 2, 4, 4)
    WorldModel(VisionModel(VISION), DirectTransition(direct)).save_pretrained(made["model"])
    write_encoder(made["encoder"], ViTEncoder(VisionTransformer(VisionTransformer.SIZES["tiny"]), "class"), {})
    return {"volumetric": made["model"], "vision": made["model"], "encoder": made["encoder"]}


def brighter(n: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    views = rng.normal(3, 0.3, (n, SIZE, SIZE)).clip(0, None).astype(np.float32)
    label = rng.random(n) < 0.5
    views[label, 8:16, 8:16] += 1.5
    return views, {"bright": label.astype(float)}


@pytest.mark.parametrize("method", ["vision", "volumetric", "encoder"])
def test_all_weights_learn(method: str, folders: dict[str, Path], tmp_path: Path) -> None:
    network = FineTunedNetwork(method, steps=60, rate=3e-3, source=str(folders[method]), precision="32-true")
    network.fit(*brighter(N, 0))
    unseen, truth = brighter(80, 1)
    assert network.score(unseen, truth)["bright"] > 0.9
    begun = dict(open_backbone(method, folders[method]).named_parameters())
    learned = {name for name, p in network.network_.backbone.named_parameters() if not torch.equal(p, begun[name])}
    unused = {name for name in begun if name.startswith(("vision.decoder.", "vision.codebook.", "transition.out."))}
    assert len(learned - unused) > 0.8 * len(begun.keys() - unused), "what reads, not the last line alone"

    network.save(tmp_path)
    again = FineTunedNetwork.load(tmp_path)
    assert np.array_equal(again.predict_proba(unseen), network.predict_proba(unseen))


def test_it_begins_with_what_the_world_model_knows(folders: dict[str, Path]) -> None:
    views, _ = brighter(5, 2)
    x = to_network(torch.from_numpy(views))[:, None]
    model = WorldModel.from_pretrained(folders["volumetric"])
    with torch.no_grad():
        seen = {method: open_backbone(method, folder)(x).numpy() for method, folder in folders.items()}
    for kind in ("vision", "volumetric"):
        assert seen[kind] == pytest.approx(model.features(views, kind), abs=1e-5)
    assert seen["encoder"] == pytest.approx(load_encoder(folders["encoder"]).features(views), abs=1e-5)


def test_what_cannot_be_fine_tuned_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose vision, volumetric, encoder"):
        open_backbone("hidden", folders["volumetric"])
    with pytest.raises(InputError):
        open_backbone("encoder", folders["volumetric"])
    views, label = brighter(60, 0)
    small = FineTunedNetwork(steps=1, source=str(folders["volumetric"]))
    with pytest.raises(InputError, match="sees views of 32 x 32"):
        small.fit(views[:, :16, :16], label)
    small.fit(views, label, out=tmp_path / "run")
    other = FineTunedNetwork("vision", steps=1, source=str(folders["volumetric"]))
    with pytest.raises(InputError, match="method differ"):
        other.fit(views, label, out=tmp_path / "run", resume=True)
    walking = AutoregressiveTransition(AutoregressiveConfig(VISION.tokens, VISION.codebook_size, dim=16, heads=2))
    WorldModel(VisionModel(VISION), walking).save_pretrained(tmp_path / "walk")
    with pytest.raises(InputError, match="no trained direct"):
        open_backbone("volumetric", tmp_path / "walk")
