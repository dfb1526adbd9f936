"""The benchmark of adapters, run whole on made-up radiographs, and its numbers on answers that are known."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from xray2xray.data.store import ViewStore
from xray2xray.experiments.adaptation import __main__ as benchmark
from xray2xray.experiments.adaptation import domain, findings, segmentation
from xray2xray.io.model_folder import write_part
from xray2xray.models.adaptation import Adapter, AdapterConfig, Generator
from xray2xray.phantoms import PATHOLOGIES
from xray2xray.projection.geometry import STANDARD_ARC, preset


def chest(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture in 0..1 and its mask as the data set has it: 1 and 2 lungs, 3 heart."""
    random = np.random.default_rng(seed)
    row, column = (np.mgrid[:n, :n] + 0.5) / n
    u, v = (column - 0.5) / random.uniform(0.27, 0.33), (row - 0.45) / random.uniform(0.25, 0.3)
    mask = np.where(((np.abs(u) - 0.56) / 0.44) ** 2 + v**2 < 1, np.where(u < 0, 1, 2), 0)
    mask[((u - 0.1) / 0.5) ** 2 + ((v - 0.5) / 0.4) ** 2 < 1] = 3
    gray = 0.5 + 0.2 * row + 0.2 * (mask == 3) - 0.3 * ((mask == 1) | (mask == 2))
    return gray + 0.02 * random.standard_normal((n, n)), mask.astype(np.uint8)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "cxr_ctr"
    (folder / "jsrt").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerow(["dataset", "id"])
        for seed in range(12):
            gray, mask = chest(seed, 256)
            Image.fromarray((np.clip(gray, 0, 1) * 255).astype(np.uint8)).save(folder / "jsrt" / f"one{seed}.png")
            Image.fromarray(mask).save(folder / "jsrt" / f"one{seed}_mask.png")
            csv.writer(file).writerow(["jsrt", f"one{seed}"])
    store = ViewStore.create(tmp_path / "views", preset("chest"))
    for seed in range(8):
        frontal = (chest(100 + seed, 128)[0] * 5).clip(0)
        store.write(f"one-{seed}", np.broadcast_to(frontal, (37, 128, 128)), STANDARD_ARC)
    notes = {"half": "first", "seed": 0, "rendered": 2}
    write_part(tmp_path / "model", "adapter", Generator(AdapterConfig(width=8)), {"adaptation": notes})
    return tmp_path


def test_the_whole_benchmark(data, refused):
    """An untrained adapter changes nothing: every figure after it is the one before."""
    words = [str(data), "--views", str(data / "views"), "--adapter", str(data / "model"), "--out", str(data / "out")]
    words += ["--sets", "jsrt"]
    results = benchmark.main([*words, "--steps", "3", "--patients", "0", "--learned", "nih"])
    assert json.loads((data / "out" / "adaptation.json").read_text()) == results
    assert results["run"]["known"] + results["run"]["unseen"] == 12
    assert results["run"]["rendered"] == 6
    found = results["domain"]["elsewhere"]  # JSRT, for it is said to have learned from another set
    before, after = (found[arm] for arm in ("lung_field", "adapted"))
    assert after["cnn"] == before["cnn"] == found["frozen"] == after["sets"]["jsrt"]
    assert results["anatomy"]["sets"]["jsrt"] == {"dice_lungs": 0, "dice_heart": 0, "ctr_change": 0}
    assert results["anatomy"]["ctr_change"] == 0
    assert results["anatomy"]["adapted"] == results["anatomy"]["lung_field"]
    assert "| adapted |" in (data / "out" / "adaptation.md").read_text()
    assert Image.open(data / "out" / "adaptation.png").size == (3 * 128, 4 * 128)

    write_part(data / "model", "adapter", Generator(AdapterConfig(width=8)), {"adaptation": {"half": "all"}})
    for more, said in (((), "nothing unseen"), (("--sets", "nih"), "for the masks")):
        assert said in refused(benchmark.main, [*words, *more])


def test_overlap_and_ratio_of_known_masks():
    mask = np.zeros((1, 20, 20), np.uint8)
    mask[0, 5:15, 2:18] = segmentation.LUNGS
    mask[0, 8:14, 6:14] = segmentation.HEART
    assert segmentation.ratios(mask) == pytest.approx([0.5])
    shifted = np.roll(mask, 4, axis=2)
    assert segmentation.dice(mask, mask, segmentation.HEART) == pytest.approx([1])
    assert segmentation.dice(shifted, mask, segmentation.HEART) == pytest.approx([0.5])


def test_a_classifier_tells_bright_from_dark_and_not_like_from_like():
    random = np.random.default_rng(0)
    dark, bright = (random.normal(level, 0.5, (40, 64, 64)).clip(0) for level in (2.0, 3.0))
    network = domain.train_classifier(bright[:20], dark[:20], 15, 0)
    answers = [domain.answers(network, views) for views in (bright[20:], dark[:20], dark[20:])]
    assert domain.told_apart(answers[0], answers[2])["auroc"] > 0.95
    assert abs(domain.told_apart(answers[1], answers[2])["auroc"] - 0.5) < 0.25


class Keeps(torch.nn.Module):
    """Nothing changed, or all shadows blurred away."""

    def __init__(self, blurs: bool) -> None:
        super().__init__()
        self.config, self.blurs, self.nothing = AdapterConfig(), blurs, torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full_like(x, -0.5) if self.blurs else x


def test_findings_kept_and_erased():
    random = np.random.default_rng(0)
    row, column = np.mgrid[:128, :128]
    healthy = random.uniform(1, 4, (3, 128, 128)).astype(np.float32)
    shadow = np.exp(-((row - 60) ** 2 + (column - 45) ** 2) / 100).astype(np.float32)
    pairs = [("edema", np.stack([one + shadow, one])) for one in healthy]
    kept, gone = (findings.erased_and_invented(Adapter(Keeps(blurs)), pairs) for blurs in (False, True))
    assert kept["findings"]["edema"] == {"visible": 3, "contrast_kept": pytest.approx(1, abs=1e-4), "erased": 0}
    assert (kept["patients"], kept["invented"]) == (3, 0)
    assert kept["unexplained_p"] == pytest.approx([0, 0], abs=1e-4)
    assert (gone["findings"]["edema"]["erased"], gone["invented"]) == (1, 0)


def test_the_healthy_twin_lacks_the_finding_and_nothing_else():
    found = dict(findings.looks(64, 1))
    assert list(found) == list(PATHOLOGIES)
    ill, healthy = found["consolidation"]
    difference = np.abs(ill - healthy)
    assert difference.max() > findings.VISIBLE_P
    assert np.median(difference) < 0.05
