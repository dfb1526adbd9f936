import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.statistics.compare_auroc import clustered_test, delong, delong_interval, delong_over_seeds, delong_test

# DeLong, DeLong and Clarke-Pearson (1988), 43 patients with all tests: albumin, total protein, K-G score, outcome.
OVARIAN = """
3.0 5.8 10 0 3.2 6.3 5 1 3.9 6.8 3 1 2.8 4.8 6 0 3.2 5.8 3 1 0.9 4.0 5 0 2.5 5.7 8 0 1.6 5.6 5 1 3.8 5.7 5 1
3.7 6.7 6 1 3.2 5.4 4 1 3.8 6.6 6 1 4.1 6.6 5 1 3.6 5.7 5 1 4.3 7.0 4 1 3.6 6.7 4 0 2.3 4.4 6 1 4.2 7.6 4 0
4.0 6.6 6 0 3.5 5.8 6 1 3.8 6.8 7 1 3.0 4.7 8 0 4.5 7.4 5 1 3.7 7.4 5 1 3.1 6.6 6 1 4.1 8.2 6 1 4.3 7.0 5 1
4.3 6.5 4 1 3.2 5.1 5 1 2.6 4.7 6 1 3.3 6.8 6 0 1.7 4.0 7 0 3.7 6.1 5 1 3.3 6.3 7 1 4.2 7.7 6 1 3.5 6.2 5 1
2.9 5.7 9 0 2.1 4.8 7 1 2.8 6.2 8 0 4.0 7.0 7 1 3.3 5.7 6 1 3.7 6.9 5 1 3.6 6.6 5 1
"""


def test_delong_as_published() -> None:
    albumin, protein, kg, outcome = np.array(OVARIAN.split(), float).reshape(-1, 4).T
    kg = -kg  # a low score is the good one
    areas, covariance = delong(outcome, albumin, protein, kg)
    assert areas == pytest.approx([0.7366, 0.6478, 0.7258], abs=5e-5)
    assert np.sqrt(np.diag(covariance)) == pytest.approx([0.0927, 0.1000, 0.1028], abs=5e-5)
    assert delong_interval(outcome, albumin)[1] == pytest.approx((0.5549, 0.9182), abs=5e-5)
    found = delong_test(outcome, protein, kg)
    assert found.difference == pytest.approx(-0.0780, abs=5e-5)
    assert found.ci95 == pytest.approx((-0.2830, 0.1271), abs=5e-5)
    assert found.p_value == pytest.approx(0.4561, abs=5e-5)


def images(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    shared = rng.normal(size=n) + y
    return y, shared + rng.normal(size=n), shared + 1.5 * rng.normal(size=n)


def test_with_one_image_a_patient_both_tests_agree() -> None:
    y, a, b = images(300, 0)
    exact, drawn = delong_test(y, a, b), clustered_test(y, a, b, np.arange(300))
    assert drawn.difference == pytest.approx(exact.difference)
    assert exact.ci95 is not None
    assert drawn.ci95 == pytest.approx(exact.ci95, abs=0.1 * (exact.ci95[1] - exact.ci95[0]))
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.02)


def test_over_seeds_the_patients_chance_and_the_seeds_add_up() -> None:
    y, a, b = images(300, 3)
    one = delong_test(y, a, b)
    assert delong_over_seeds(y, [a, a, a], [b, b, b]).ci95 == pytest.approx(one.ci95), "seeds that do not differ"
    rng = np.random.default_rng(4)
    first = np.array([a + noise for noise in rng.normal(size=(5, 300))])
    second = np.tile(b, (5, 1))
    found, each = delong_over_seeds(y, first, second), [delong_test(y, f, b).difference for f in first]
    assert found.difference == pytest.approx(np.mean(each))
    _, covariance = delong(y, *first, b)
    weights = np.append(np.full(5, 1 / 5), -1)
    error = np.sqrt(weights @ covariance @ weights + np.var(each, ddof=1) / 5)
    assert found.ci95 == pytest.approx(tuple(np.mean(each) + 1.959964 * error * np.array([-1, 1])), abs=1e-6)
    with pytest.raises(InputError, match="as many seeds"):
        delong_over_seeds(y, first, second[:2])


def test_copies_of_an_image_tell_nothing_new_to_the_clustered_test() -> None:
    y, a, b = images(200, 1)
    once = clustered_test(y, a, b, np.arange(200), draws=300)
    twice = clustered_test(*(np.repeat(x, 2) for x in (y, a, b, np.arange(200))), draws=300)
    assert twice == once
    single, fooled = delong_test(y, a, b), delong_test(np.tile(y, 2), np.tile(a, 2), np.tile(b, 2))
    assert fooled.p_value < single.p_value  # why DeLong's is for one image a patient


def test_delong_holds_its_level_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(400):
        y = np.repeat([0, 1], 40)
        shared = rng.normal(size=80) + y
        p_values.append(delong_test(y, shared + rng.normal(size=80), shared + rng.normal(size=80)).p_value)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.06)


def test_perfect_scores_have_no_variance() -> None:
    y = [0, 0, 1, 1]
    assert delong_test(y, [1, 2, 3, 4], [0, 1, 5, 6]).p_value == 1
    assert delong_test(y, [1, 2, 3, 4], [4, 3, 2, 1]).p_value == 0
    with pytest.raises(InputError, match="two patients of each class"):
        delong([0, 1, 1], [1, 2, 3])
    with pytest.raises(InputError, match="as many patients"):
        clustered_test(y, y, y, [1, 2])
