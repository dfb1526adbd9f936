from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from xray2xray.core.errors import InputError, UsageError
from xray2xray.probing.head import row_space, standardisation
from xray2xray.probing.probe import compare_probes, fit, load_probes, pixel_features, probe, save_probes
from xray2xray.statistics.auroc import auroc
from xray2xray.statistics.resampling import draw_patients, interval


def cohort(n: int, signal: float, seed: int, d: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Features of which one direction carries the label with strength `signal`, on odd scales; one is constant."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    x = rng.normal(size=(n, d))
    x[:, 0] += signal * y
    x = x * np.geomspace(1e-3, 1e3, d) + 5
    x[:, -1] = 7.0
    return x, y


def test_auroc_agrees_with_scikit_learn_also_with_ties_and_weights() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80)
    scores = np.round(rng.normal(size=80) + y, 1)
    assert auroc(y, scores) == pytest.approx(roc_auc_score(y, scores))
    counts = draw_patients(80, draws=5)
    expected = [roc_auc_score(y, scores, sample_weight=row) for row in counts]
    assert auroc(y, scores, counts) == pytest.approx(expected)


def test_a_draw_with_one_class_is_no_number() -> None:
    counts = np.array([[1, 1, 0], [1, 1, 1.0]])
    areas = auroc([1, 1, 0], [0.9, 0.8, 0.1], counts)
    assert np.isnan(areas[0])
    assert areas[1] == 1
    assert interval([np.nan, np.nan, 1.0]) is None
    assert interval([0.5, 0.5, np.nan]) == (0.5, 0.5)


def test_probe_finds_what_is_there() -> None:
    result = probe(*cohort(600, 2.0, 0), *cohort(400, 2.0, 1), label="edema", features="volumetric")
    ideal = 0.921  # two normals 2 SD apart
    assert result.auroc == pytest.approx(ideal, abs=0.04)
    assert result.ci95 is not None
    assert result.ci95[0] < result.auroc < result.ci95[1]
    assert result.ci95[0] > 0.85
    assert result.n_train == 600
    assert np.argmax(np.abs(result.probe.weights)) == 0


def test_more_features_than_patients_are_fitted_within_their_span() -> None:
    x, y = cohort(60, 2.0, 0, d=200)
    found = fit(x, y, label="edema", features="volumetric")
    mean, scale = x.mean(0), np.where(x.std(0) < 1e-9, 1, x.std(0))
    whole = LogisticRegression(C=found.inverse_penalty, max_iter=5000, tol=1e-8).fit((x - mean) / scale, y)
    assert found.weights == pytest.approx(whole.coef_[0], abs=1e-3)
    assert found.intercept == pytest.approx(whole.intercept_[0], abs=1e-3)
    coordinates, basis = row_space((x - mean) / scale)
    assert basis @ basis.T == pytest.approx(np.eye(len(basis)), abs=1e-8)
    assert coordinates @ basis == pytest.approx((x - mean) / scale, abs=1e-8)


def test_sets_side_by_side_have_one_variance_and_one_set_is_as_it_was() -> None:
    x = np.random.default_rng(0).normal(size=(500, 104)) * np.geomspace(0.1, 10, 104)
    mean, scale = standardisation(x, [4, 100])
    variance = ((x - mean) / scale).var(axis=0)
    assert variance[4:] == pytest.approx(1)
    assert variance[:4].sum() == pytest.approx(variance[4:].sum())
    for alone in ((), [104]):
        assert np.array_equal(standardisation(x, alone), (x.mean(axis=0), x.std(axis=0)))
    with pytest.raises(InputError, match="sets of 4, 99 features are not the 104"):
        standardisation(x, [4, 99])
    with pytest.raises(InputError, match="sets of -1, 105 features"):
        standardisation(x, [-1, 105])


def test_a_number_that_tells_does_not_drown_beside_a_thousand_that_do_not() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 800)
    x = np.concatenate([rng.normal(size=(800, 1)) + 1.5 * y[:, None], rng.normal(size=(800, 1000))], axis=1)
    learned, asked = slice(0, 400), slice(400, 800)

    def area(blocks: list[int]) -> float:
        found = fit(x[learned], y[learned], label="event", features="age+latents", blocks=blocks)
        return float(auroc(y[asked], found.probability(x[asked])))

    alone = float(auroc(y[asked], x[asked, 0]))
    assert area([1001]) < alone - 0.05
    assert area([1, 1000]) == pytest.approx(alone, abs=0.02)


def test_probe_finds_nothing_where_nothing_is() -> None:
    result = probe(*cohort(300, 0.0, 0), *cohort(500, 0.0, 1))
    assert result.ci95 is not None
    assert result.ci95[0] < 0.5 < result.ci95[1]
    assert result.probe.inverse_penalty <= 1e-2  # the validation split asks for a strong penalty


def test_unknown_labels_are_left_out() -> None:
    x, y = cohort(200, 2.0, 0)
    unknown = y.astype(float)
    unknown[:20], unknown[20:40] = np.nan, -1
    result = probe(x, unknown, *cohort(100, 2.0, 1))
    assert result.n_train == 160


def test_an_unknown_label_is_no_class() -> None:
    x, y = cohort(50, 1.0, 0)
    y[0] = -1
    with pytest.raises(InputError, match="leave unknown ones out"):
        fit(x, y, label="edema", features="x")


def test_one_class_is_refused_in_words() -> None:
    x, y = cohort(50, 1.0, 0)
    with pytest.raises(InputError, match="four of each kind"):
        probe(x, 0 * y, x, y, label="edema")
    with pytest.raises(InputError, match="edema: the test patients are all negative"):
        probe(x, y, x, 0 * y, label="edema")
    with pytest.raises(InputError, match="features \\(n, d\\)"):
        probe(x, y[:-1], x, y)


def test_comparison_is_paired_by_patient() -> None:
    (x_train, y_train), (x_test, y_test) = cohort(400, 2.0, 0), cohort(300, 2.0, 1)
    noise = np.random.default_rng(5)
    features = {
        "volumetric": (x_train, x_test),
        "same": (2 * x_train, 2 * x_test),
        "noise": (noise.normal(size=(400, 5)), noise.normal(size=(300, 5))),
    }
    labels_train, labels_test = {"a": y_train, "b": 1 - y_train, "none": 0 * y_train}, {
        "a": y_test, "b": 1 - y_test, "none": 0 * y_test,
    }  # fmt: skip
    found = compare_probes(features, labels_train, labels_test, draws=300)
    assert set(found.results) == {"a", "b"}
    assert "four of each" in found.left_out["none"]
    same = found.differences["a"]["volumetric - same"]
    assert same.value == pytest.approx(0, abs=1e-3)
    assert same.ci95 is not None
    assert same.ci95[1] - same.ci95[0] < 5e-3
    noise_difference = found.mean_differences["volumetric - noise"]
    assert noise_difference.ci95 is not None
    assert noise_difference.ci95[0] > 0.2
    value, bounds = found.mean_auroc["volumetric"]
    assert bounds is not None
    assert bounds[0] < value < bounds[1]
    assert value == pytest.approx(np.mean([r["volumetric"].auroc for r in found.results.values()]))
    with pytest.raises(InputError, match="no label"):
        compare_probes(features, {"none": labels_train["none"]}, {"none": labels_test["none"]})


def test_pixel_features_are_block_means_seen_through_the_training_pca() -> None:
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(40, 70, 64)), rng.normal(size=(7, 70, 64))
    a, b = pixel_features(train, test, components=10)
    assert a.shape == (40, 10)
    assert b.shape == (7, 10)
    assert a.mean(0) == pytest.approx(np.zeros(10), abs=1e-5)
    full, _ = pixel_features(train, test, side=8, components=1000)
    rows = [np.array_split(view, 8, axis=0) for view in train]
    blocks = np.array([[b.mean() for row in view for b in np.array_split(row, 8, axis=1)] for view in rows])
    assert full.shape == (40, 40)
    distances = np.linalg.norm(blocks - blocks[0], axis=1)
    assert np.corrcoef(np.linalg.norm(full - full[0], axis=1), distances)[0, 1] > 0.95


def test_probes_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "probes.npz"
    x, y = cohort(200, 2.0, 0)
    probes = [probe(x, y, x, y, label=label, features="volumetric").probe for label in ("edema", "cvd")]
    save_probes(path, probes)
    read = load_probes(path)
    assert list(read) == ["edema", "cvd"]
    assert np.array_equal(read["cvd"].probability(x), probes[1].probability(x))
    with pytest.raises(UsageError, match="refuses a real radiograph"):
        read["cvd"].probability(x, evidence_level="real radiograph")
    with pytest.raises(InputError, match="cvd probe: it reads 30 volumetric features, got 3"):
        read["cvd"].probability(x[:, :3])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"probes\.npz"):
        load_probes(path)
