"""Ridge regression in its dual form: against the primal one, and with patients left out by hand."""

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.evaluation import metrics
from xray2xray.evaluation.kernel_ridge import KernelRidge, decomposed, left_out_residuals


def counts(views_p: np.ndarray) -> np.ndarray:
    """p -> uint16 of 4096 p, as stored."""
    return np.rint(views_p * 4096).astype(np.uint16)


def linear_views(n: int, seed: int = 0) -> np.ndarray:
    """p (n, 3, 12, 12) that five hidden numbers decide."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(0, 1, (n, 5)) @ np.random.default_rng(9).uniform(0, 1, (5, 432))).reshape(n, 3, 12, 12)


def test_finds_a_linear_map() -> None:
    views = linear_views(120)
    fitted = KernelRidge.fit(counts(views[:100]), input_index=1)
    predicted = fitted.predict(metrics.unit(views[100:, 1]))
    assert predicted.shape == (20, 3, 12, 12)
    assert metrics.psnr(predicted, metrics.unit(views[100:])).min() > 60


def test_noise_is_answered_with_the_mean() -> None:
    views = linear_views(100)
    views[:, 0] = np.random.default_rng(1).uniform(0, 5, (100, 12, 12))
    fitted = KernelRidge.fit(counts(views), input_index=1)
    assert fitted.penalty[0] == fitted.penalty.max()
    mean = metrics.unit(views[:, 0]).mean(axis=0)
    assert np.abs(fitted.predict(metrics.unit(views[:3, 1]))[:, 0] - mean).max() < 0.04


def test_is_the_primal_solution() -> None:
    views = linear_views(30)
    weight = np.random.default_rng(2).uniform(1, 3, 30)
    fitted = KernelRidge.fit(counts(views), 1, weight=weight)
    x, y = (metrics.unit(counts(views[:, a]) / 4096).reshape(30, -1).astype(np.float64) for a in (1, 2))
    share = weight / weight.sum()
    x_mean, y_mean = share @ x, share @ y
    normal = (x - x_mean).T * share @ (x - x_mean) + fitted.penalty[2] * np.eye(144)
    query = metrics.unit(linear_views(4, seed=5)[:, 1])
    expected = (query.reshape(4, -1) - x_mean) @ np.linalg.solve(normal, (x - x_mean).T * share @ (y - y_mean)) + y_mean
    assert fitted.predict(query)[:, 2].reshape(4, -1) == pytest.approx(np.clip(expected, 0, 1), abs=1e-4)
    assert fitted.weights(query, 2).sum(axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_residuals_are_those_of_patients_left_out() -> None:
    """Against ridge regression with an intercept, fitted again without them."""
    rng = np.random.default_rng(0)
    x, y, penalty = rng.normal(size=(12, 40)), rng.normal(size=(12, 3)), 2.0
    share = rng.uniform(1, 3, 12)
    share /= share.sum()
    root = np.sqrt(share)[:, None]
    values, vectors = decomposed(root * (x - share @ x), root[:, 0])
    group = np.array([2, 3, 7])
    found = left_out_residuals(values, vectors, vectors.T @ (root * (y - share @ y)), [group], penalty) / root
    for left_out in (group, np.array([0]), np.array([11])):
        kept = np.setdiff1d(np.arange(12), left_out)
        s = share[kept]
        x_mean, y_mean = s @ x[kept] / s.sum(), s @ y[kept] / s.sum()
        centred = x[kept] - x_mean
        slope = np.linalg.solve(centred.T * s @ centred + penalty * np.eye(40), centred.T * s @ (y[kept] - y_mean))
        assert found[left_out] == pytest.approx(y[left_out] - (x[left_out] - x_mean) @ slope - y_mean)


def test_copies_of_a_patient_do_not_vouch_for_him() -> None:
    """Each patient ten times with a little noise: leaving out one view would find its copies and hardly penalise."""
    rng = np.random.default_rng(3)
    inputs, outputs = rng.uniform(0, 5, (2, 12, 12, 12))  # inputs tell nothing of outputs
    views = np.repeat(np.stack([outputs, inputs], axis=1), 10, axis=0)
    views = views + rng.uniform(0, 0.05, views.shape)
    names = [f"patient-{i // 10}" for i in range(120)]
    alone = KernelRidge.fit(counts(views), 1)
    grouped = KernelRidge.fit(counts(views), 1, names)
    assert grouped.penalty[0] > 100 * alone.penalty[0]


def test_mirror_images_count_as_further_views_of_the_same_patients() -> None:
    views = counts(linear_views(30) + np.random.default_rng(4).uniform(0, 0.3, (30, 3, 12, 12)))
    names, weight = [f"p{i // 2}" for i in range(30)], np.linspace(1, 2, 30)
    found = KernelRidge.fit(views, 1, names, weight, mirror=True)
    both = np.concatenate([views, views[:, ::-1, :, ::-1]])
    expected = KernelRidge.fit(both, 1, names * 2, np.tile(weight, 2))
    query = metrics.unit(linear_views(4, seed=5)[:, 1])
    assert found.penalty == pytest.approx(expected.penalty)
    assert found.predict(query) == pytest.approx(expected.predict(query), abs=1e-4)
    mirrored = found.predict(query[..., ::-1])[:, ::-1, :, ::-1]
    assert mirrored == pytest.approx(found.predict(query), abs=1e-4), "it does not know left from right"


def test_wants_enough_patients() -> None:
    with pytest.raises(InputError, match="at least 10"):
        KernelRidge.fit(counts(linear_views(5)), 1)
    with pytest.raises(InputError, match="two patients"):
        KernelRidge.fit(counts(linear_views(12)), 1, ["one"] * 12)
    with pytest.raises(InputError, match="11 patients were named"):
        KernelRidge.fit(counts(linear_views(12)), 1, [f"p{i}" for i in range(11)])
