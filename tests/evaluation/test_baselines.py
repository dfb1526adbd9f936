from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.data.store import ViewStore
from xray2xray.evaluation import baselines, metrics, scoring
from xray2xray.projection.geometry import STANDARD_ARC, preset

FRONTAL = STANDARD_ARC.index(0.0)
Cohort = Callable[..., np.ndarray]


def counts(views_p: np.ndarray) -> np.ndarray:
    """p -> uint16 of 4096 p, as stored."""
    return np.rint(views_p * 4096).astype(np.uint16)


@pytest.fixture(scope="module")
def train(ellipsoid_views: Cohort) -> np.ndarray:
    return counts(ellipsoid_views(range(300)))


@pytest.fixture(scope="module")
def test(ellipsoid_views: Cohort) -> np.ndarray:
    return metrics.unit(ellipsoid_views(range(1000, 1012)))


def test_every_baseline_keeps_the_contract_and_the_order_is_as_expected(train: np.ndarray, test: np.ndarray) -> None:
    inputs = test[:, FRONTAL]
    psnr = {}
    for name, predictor in baselines.fit_on_store(train, FRONTAL).items():
        predicted = predictor.predict(inputs)
        assert predicted.shape == test.shape
        assert predicted.dtype == np.float32
        assert predicted.min() >= 0
        assert predicted.max() <= 1
        psnr[name] = metrics.psnr(predicted, test)
    lateral = {name: values[:, 0].mean() for name, values in psnr.items()}
    # the frontal tells width and height but not depth
    assert lateral["knn10"] > lateral["mean_view"] + 1
    assert lateral["ridge_pca"] > lateral["mean_view"] + 1
    assert psnr["copy_input"][:, FRONTAL] == pytest.approx(metrics.PSNR_CAP_DB)
    choice = scoring.best_at_each_angle(psnr)
    assert len(choice) == 37
    assert choice[FRONTAL] == "copy_input"
    assert choice[0] in ("knn10", "ridge_pca", "kernel_ridge")


def test_file_round_trip_from_a_store(tmp_path: Path, ellipsoid_views: Cohort) -> None:
    views = ellipsoid_views(range(12), size=32)
    store = ViewStore.create(tmp_path / "store", preset("chest", size=32))
    for seed, case in enumerate(views):
        store.write(f"thorax-{seed:07d}", case, STANDARD_ARC, {"seed": seed})
    made = baselines.build_baselines(store, range(12))
    made.save(tmp_path / "baselines.npz")
    read = baselines.Baselines.load(tmp_path / "baselines.npz")
    assert read.geometry == store.geometry
    for name in ("yaw_deg", "mean_views", "small_frontals", "seeds"):
        assert np.array_equal(getattr(made, name), getattr(read, name)), name
    assert read.mean_views / 4096 == pytest.approx(views.mean(0), abs=2 / 4096)
    assert baselines.build_baselines(store).seeds.tolist() == list(range(12))
    assert set(read.predictors(FRONTAL)) == {"copy_input", "mean_view", "knn10"}
    assert set(read.predictors(0)) == {"copy_input", "mean_view"}  # only frontals are kept
    with pytest.raises(InputError, match="one seed a study"):
        baselines.build_baselines(store, range(3))


def test_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "baselines.npz"
    for content in (b"", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"baselines\.npz"):
            baselines.Baselines.load(path)


def test_training_sets_join_stores_and_know_whose_views_are_whose(tmp_path: Path, ellipsoid_views: Cohort) -> None:
    views = ellipsoid_views(range(12))
    virtual, real = (ViewStore.create(tmp_path / name, preset("chest", size=16)) for name in ("virtual", "real"))
    for number, case in enumerate(views[:9]):
        virtual.write(f"v{number}", case, STANDARD_ARC)
    for number, case in enumerate(views[9:]):
        real.write(f"r{number}", case, STANDARD_ARC, {"source_ct": "one"} if number else None)
    both = baselines.training_set([virtual.folder, real.folder])
    assert both.views.shape == (12, 37, 16, 16)
    assert both.patients == [*(f"v{i}" for i in range(9)), "r0", "one", "one"]
    assert both.weight[:9].sum() == pytest.approx(both.weight[9:].sum())
    few = baselines.training_set([virtual.folder, real.folder], limit=8)
    assert few.patients == ["v0", "v2", "v4", "v6", "v8", "r0", "one", "one"], "the largest store gives way"
    other = ViewStore.create(tmp_path / "other", preset("chest", size=32))
    other.write("o", ellipsoid_views([0], size=32)[0], STANDARD_ARC)
    with pytest.raises(InputError, match="render them alike"):
        baselines.training_set([virtual.folder, other.folder])


def test_training_views_are_thinned_to_the_limit(tmp_path: Path, ellipsoid_views: Cohort) -> None:
    store = ViewStore.create(tmp_path, preset("chest", size=16))
    with pytest.raises(InputError, match="no training study"):
        baselines.training_views(store)
    for seed, case in enumerate(ellipsoid_views(range(9))):
        store.write(f"v{seed}", case, STANDARD_ARC)
    assert baselines.training_views(store).shape == (9, 37, 16, 16)
    assert baselines.training_views(store, limit=4).shape == (4, 37, 16, 16)
