import numpy as np
import pytest

from xray2xray.reconstruction.total_variation import reduce_variation


def test_weight_0_changes_nothing():
    volume = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    assert np.array_equal(reduce_variation(volume, 0.0), volume)


def test_a_constant_stays_constant():
    assert np.allclose(reduce_variation(np.full((5, 1, 7), 3.0), 0.5), 3.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_step_loses_height_in_closed_form(axis):
    """Of a step of n and m planes the sides move by weight / n and weight / m towards each other."""
    shape = [6, 6, 6]
    shape[axis] = 10
    volume, planes = np.zeros(shape, np.float32), np.arange(10)
    np.moveaxis(volume, axis, 0)[4:] = 1.0
    found = np.moveaxis(reduce_variation(volume, 0.2, iterations=400), axis, 0)
    expected = np.where(planes < 4, 0.2 / 4, 1 - 0.2 / 6)
    assert np.allclose(found, expected[:, None, None], atol=1e-3)


def test_the_mean_is_kept_and_the_objective_falls():
    volume = np.random.default_rng(1).random((7, 8, 9)).astype(np.float32)

    def objective(x: np.ndarray) -> float:
        ahead = [np.diff(x, axis=axis, append=np.take(x, [-1], axis)) for axis in range(3)]
        return 0.5 * ((x - volume) ** 2).sum() + 0.1 * np.sqrt(sum(d**2 for d in ahead)).sum()

    found = [reduce_variation(volume, 0.1, iterations=n) for n in (1, 5, 50, 200)]
    assert [f.mean() for f in found] == pytest.approx([volume.mean()] * 4, abs=1e-5)
    values = [objective(volume), *map(objective, found)]
    assert (np.diff(values[:-1]) < 0).all()
    assert values[-1] == pytest.approx(values[-2], rel=1e-3)
    rival = found[-1] + np.random.default_rng(2).normal(0, 0.01, volume.shape).astype(np.float32)
    assert objective(rival) > values[-1]


def test_threads_do_not_change_it():
    volume = np.random.default_rng(3).random((9, 8, 7)).astype(np.float32)
    assert np.allclose(reduce_variation(volume, 0.1, threads=1), reduce_variation(volume, 0.1, threads=4), atol=1e-6)
