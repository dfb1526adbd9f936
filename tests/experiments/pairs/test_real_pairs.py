"""The benchmark on real pairs, run whole on made-up ones, and its numbers on answers that are known."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.experiments.pairs import __main__ as real_pairs


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """28 cases of a bright band whose height, width and place both views share, in a grey frame."""
    folder = tmp_path / "lidc_drr128"
    folder.mkdir()
    random = np.random.default_rng(0)
    row, column = np.mgrid[:90, :100]
    for case in range(28):
        height, width = random.uniform((20, 8), (70, 20))
        for suffix, place in (("ap", 50), ("lat", 20 + width)):
            image = np.full((128, 128), 20, np.uint8)
            body = np.exp(-(((row - height) / width) ** 2) - ((column - place) / 30) ** 2)
            image[20:110, 10:110] = 40 + 200 * body + random.uniform(0, 8, body.shape)
            Image.fromarray(image).save(folder / f"case-{case:02d}_{suffix}.png")
    return tmp_path


def test_the_whole_benchmark(data):
    out = data / "out"
    results = real_pairs.main([str(data), "--out", str(out), "--steps", "10"])
    assert json.loads((out / "real_pairs.json").read_text()) == results
    assert results["run"]["training"] == 20
    assert list(results["scores"]) == ["nearest", "knn10", "ridge_pca", "ours", "ours, one sample"]
    assert results["scores"]["ours"]["r2"] > 0.3
    assert list(results["covered"]) == ["50%", "80%", "95%"]
    assert "| ours |" in (out / "real_pairs.md").read_text()
    assert Image.open(out / "real_pairs.png").size == (8 * 112, 5 * 112)


def test_scores_of_known_answers():
    truth = np.random.default_rng(0).normal(size=(12, 32, 32))
    mean = np.zeros((32, 32))
    found = real_pairs.scores({"ridge_pca": 0 * truth, "perfect": truth, "half": truth / 2}, truth, mean)
    assert found["ridge_pca"]["r2"] == 0
    assert found["perfect"]["r2"] == 1
    assert found["perfect"]["ssim"] == pytest.approx(1)
    assert found["half"]["over_ridge"] == pytest.approx(0.75)
    assert found["half"]["over_ridge_interval"] == pytest.approx([0.75, 0.75])
    assert found["half"]["spectrum_db"] == pytest.approx(-20 * np.log10(2), abs=1e-6)


def test_intervals_of_samples_of_the_truth_cover_what_they_promise():
    drawn = np.random.default_rng(0).normal(size=(1 + real_pairs.SAMPLES, 4, 64, 64))
    found = real_pairs.covered(drawn[1:], drawn[0])
    assert list(found.values()) == pytest.approx(real_pairs.LEVELS, abs=0.02)
