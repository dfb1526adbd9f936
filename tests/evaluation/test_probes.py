"""Probes on virtual patients; the frontals come from a store, as rendering sixty patients would take a minute."""

from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.store import ViewStore
from xray2xray.evaluation.probes import evaluate_probes, frontal_views
from xray2xray.phantoms import patient_labels
from xray2xray.projection.geometry import preset

N_TRAIN, N_TEST = 80, 60


class BandModel:
    """A feature model without a network: `vision` averages the upper half, `volumetric` also the lower."""

    size = 16

    def features(self, views_p: np.ndarray, kind: str = "volumetric") -> np.ndarray:
        halves = views_p.reshape(len(views_p), 2, 8, 16).mean(2)
        return halves.reshape(len(views_p), -1) if kind == "volumetric" else halves[:, 0]


@pytest.fixture
def store(tmp_path: Path) -> ViewStore:
    """Frontals in which the heart's label brightens the lower half, and nothing else is visible."""
    store = ViewStore.create(tmp_path / "store", preset("chest", 16))
    rng = np.random.default_rng(0)
    for seed in [*range(500_000, 500_000 + N_TRAIN), *range(1_000_000, 1_000_000 + N_TEST)]:
        view = rng.uniform(1, 2, (1, 16, 16))
        view[0, 8:, 6:10] += 2.0 * patient_labels(seed)["cardiomegaly"]
        store.write(f"thorax-{seed:07d}", view, [0.0], {"seed": seed})
    return store


def test_planted_findings_are_recovered(store: ViewStore) -> None:
    result = evaluate_probes(N_TRAIN, N_TEST, store=store.folder, model=BandModel())
    heart = result.labels["cardiomegaly"]
    assert heart.auroc["volumetric"].value > 0.97 > 0.75 > heart.auroc["vision"].value
    assert heart.difference["volumetric - vision"].ci95[0] > 0.1
    assert result.labels["edema"].auroc["volumetric"].value < 0.8
    assert result.features == ["volumetric", "vision", "pixels"]
    assert result.settings["dimensions"] == {"volumetric": 32, "vision": 16, "pixels": 80}
    positives = sum(patient_labels(s)["cardiomegaly"] for s in range(500_000, 500_000 + N_TRAIN))
    assert heart.train_positives == positives
    assert {probe.label for probe in result.probes} >= {"cardiomegaly"}


def test_frontals_are_rendered_once_and_then_read(tmp_path: Path) -> None:
    geometry = preset("chest", 24)
    first = frontal_views([1_000_000], geometry, tmp_path / "store", workers=1)
    assert first.shape == (1, 24, 24)
    assert 2 < first.max() < 16
    store = ViewStore.open(tmp_path / "store")
    assert store.studies() == ["thorax-1000000"]
    assert store.read("thorax-1000000").labels == {"seed": 1_000_000}
    store.write("thorax-1000000", first * 0 + 1, [0.0])
    assert np.all(frontal_views([1_000_000], geometry, tmp_path / "store") == 1)
    with pytest.raises(UsageError, match="another geometry"):
        frontal_views([1_000_000], preset("chest", 32), tmp_path / "store")
    store.write("thorax-1000000", first, [90.0])
    with pytest.raises(InputError, match="no view at 0 degrees"):
        frontal_views([1_000_000], geometry, tmp_path / "store")


def test_wrong_numbers_of_patients() -> None:
    with pytest.raises(UsageError, match="at least 20"):
        evaluate_probes(5, 5, model=BandModel())
    with pytest.raises(UsageError, match="test patients"):
        evaluate_probes(100, 50, seed=499_950, model=BandModel())
