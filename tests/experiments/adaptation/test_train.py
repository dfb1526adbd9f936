"""A small real CycleGAN: it learns to darken, keeps the anatomy, resumes exactly, and leaves the other half alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import xray2xray
from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.radiographs import half_of
from xray2xray.data.store import ViewStore
from xray2xray.experiments.adaptation import train as adapt_module
from xray2xray.experiments.adaptation.objective import AdaptationLosses, AdaptationObjective, lung_window
from xray2xray.experiments.adaptation.train import train_adapter
from xray2xray.models.adaptation import Adapter, AdapterConfig
from xray2xray.projection.geometry import STANDARD_ARC
from xray2xray.projection.geometry import preset as geometry_preset
from xray2xray.training.loop import LoopConfig, Machine, fit

SIZE = 32
CONFIG = AdapterConfig(size=SIZE, width=8, dilations=(1,))
LOSSES = AdaptationLosses(buffer=4, critic_width=4)


def chest(seed: int, n: int = 128) -> np.ndarray:
    """uint8 (n, n): lungs of a random size in a noisy trunk."""
    random = np.random.default_rng(seed)
    row, column = (np.mgrid[:n, :n] + 0.5) / n
    u, v = (column - 0.5) / random.uniform(0.27, 0.33), (row - 0.45) / random.uniform(0.25, 0.3)
    gray = 0.5 + 0.3 * row + 0.05 * random.standard_normal((n, n))
    gray[((np.abs(u) - 0.56) / 0.44) ** 2 + v**2 < 1] -= 0.4
    return (np.clip(gray, 0, 1) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("radiographs")
    for seed in range(30):
        Image.fromarray(chest(seed)).save(folder / f"{seed // 2:04d}_{seed % 2}.png")
    return folder


@pytest.fixture(scope="module")
def views(tmp_path_factory) -> Path:
    store = ViewStore.create(tmp_path_factory.mktemp("views") / "store", geometry_preset("chest", SIZE))
    for seed in range(8):
        frontal = chest(100 + seed, SIZE).astype(np.float32) / 255 * 5
        store.write(f"one-{seed}", np.broadcast_to(frontal, (37, SIZE, SIZE)), STANDARD_ARC)
    return store.folder


@pytest.fixture(scope="module")
def trained(images, views, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run")
    assert train_adapter([images], views, out, steps=4, config=CONFIG, losses=LOSSES) == out / "model"
    return out


def test_one_half_of_the_patients_is_learned_from(trained, images):
    patients = {path.stem.split("_")[0] for path in images.iterdir()}
    first = [patient for patient in patients if half_of(patient, 0) == "first"]
    notes = Adapter.from_pretrained(trained / "model").notes
    assert (notes["half"], notes["patients"], notes["radiographs"]) == ("first", len(first), 2 * len(first))
    assert first[0] not in json.dumps(notes["patients_sha256"])


def test_resuming_is_exact(trained, images, views, tmp_path, monkeypatch):
    class Interrupted(Exception):
        pass

    def interrupted(*arguments):
        fit(*arguments, stop_at=2)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(adapt_module, "fit", interrupted)
        with pytest.raises(Interrupted):
            train_adapter([images], views, tmp_path, steps=4, config=CONFIG, losses=LOSSES)
    train_adapter([images], views, tmp_path, steps=4, resume=True, config=CONFIG, losses=LOSSES)
    name = Path("model") / "adapter.safetensors"
    assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_it_learns_the_simulated_domain_and_keeps_the_anatomy(tmp_path):
    """Two domains that differ by brightness alone: unseen pictures come out as bright as the other domain is."""
    torch.manual_seed(0)
    pictures = np.stack([chest(seed, SIZE) for seed in range(40)]).astype(np.float32) / 255 * 5
    rendered = (np.clip(pictures[20:] - 1.0, 0, 16) * 4096).astype(np.uint16)
    losses = replace(LOSSES, critic_width=8, identity=0.0, average_decay=0.9)
    objective = AdaptationObjective(CONFIG, pictures[:20], rendered, losses)
    loop = LoopConfig(steps=40, batch=2, rate=8e-3, warm_up=3, weight_decay=0.0, betas=(0.5, 0.99), check_every=40)
    fit(objective, loop, Machine(precision="32-true"), tmp_path)
    adapter = Adapter(objective.average)
    change = np.mean([adapter(picture) - picture for picture in pictures[20:24]])
    assert change == pytest.approx(-1.0, abs=0.5)
    assert objective.validate()["anatomy"] > 0.9


def test_fewer_rendered_frontals_than_held_out_radiographs_are_a_smaller_picture():
    pictures = np.stack([chest(seed, SIZE) for seed in range(50)]).astype(np.float32) / 255 * 5
    rendered = (pictures[:3] * 4096).astype(np.uint16)
    picture = AdaptationObjective(CONFIG, pictures, rendered, LOSSES).picture()
    assert picture.shape[:2] == (3 * SIZE, 3 * SIZE)


def test_the_window_is_about_the_lungs():
    window = lung_window(64, 0.1)
    assert float(window[0, 0, 30, 32]) == 1
    assert window[0, 0, :, 0].max() == pytest.approx(0.1)
    assert window[0, 0, 0].max() == pytest.approx(0.1)


def test_refusals(trained, images, views, tmp_path, refused):
    with pytest.raises(UsageError, match="--resume"):
        train_adapter([images], views, trained, config=CONFIG)
    with pytest.raises(UsageError, match="--steps"):
        train_adapter([images], views, tmp_path, steps=0)
    with pytest.raises(InputError, match="at least"):
        train_adapter([images / "0000_0.png"], views, tmp_path, half=None)
    with pytest.raises(InputError, match="the adapter wants 64"):
        train_adapter([images], views, tmp_path, config=AdapterConfig(size=64))
    assert refused(adapt_module.main, [images, "--views", images, "--out", tmp_path]).startswith("1 error: ")


def test_the_verb_writes_views(trained, images, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    inputs = [images / "0000_0.png", images / "0001_0.png", tmp_path / "broken.png"]
    done = xray2xray.adapt(inputs, tmp_path / "out", trained / "model", device="cpu")
    assert done.studies == ["0000_0", "0001_0"]
    assert list(done.failed) == [str(tmp_path / "broken.png")]
    with np.load(tmp_path / "out" / "0000_0.npz") as arrays:
        assert arrays["adapted_p"].shape == arrays["input_p"].shape == (SIZE, SIZE)
    assert Image.open(tmp_path / "out" / "0000_0.png").size == (2 * SIZE, SIZE)
    assert "uncalibrated" in capsys.readouterr().out
    with pytest.raises(InputError, match="adapter"):
        xray2xray.rotate(
            images / "0000_0.png", tmp_path / "turned", adapter=trained / "model", device="cpu"
        )  # 32 px, not 128
