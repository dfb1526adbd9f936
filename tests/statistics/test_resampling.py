import numpy as np
import pytest

from xray2xray.core.errors import InputError, UsageError
from xray2xray.statistics.compare_auroc import delong_interval
from xray2xray.statistics.resampling import (
    bootstrap_p,
    draw_patients,
    interval,
    mean_over_seeds,
    nested_bootstrap,
    patient_bootstrap,
)


def test_patients_are_drawn_whole() -> None:
    patients = np.array(["b", "a", "b", "c", "b", "c"])
    sizes = {"a": 1, "b": 3, "c": 2}
    drawn = []

    def statistic(rows: np.ndarray) -> float:
        names, counts = np.unique(patients[rows], return_counts=True)
        assert all(n % sizes[name] == 0 for name, n in zip(names, counts))
        assert sum(n // sizes[name] for name, n in zip(names, counts)) == 3
        drawn.append(set(rows))
        return len(rows)

    found = patient_bootstrap(statistic, patients, draws=200)
    assert found.mean() == pytest.approx(6, abs=0.4)
    assert set().union(*drawn) == set(range(6))


def test_bootstrap_of_a_mean_has_its_standard_error() -> None:
    x = np.random.default_rng(0).normal(size=80)
    found = patient_bootstrap(lambda rows: float(x[rows].mean()), np.arange(80), draws=4000)
    assert found.std() == pytest.approx(x.std() / np.sqrt(80), rel=0.05)


def test_three_sources_of_chance_add_up() -> None:
    rng = np.random.default_rng(1)
    of_seed, of_labels, of_patient = rng.normal(size=4), rng.normal(0, 3, (4, 3)), rng.normal(0, 5, 50)
    found = nested_bootstrap(
        lambda s, d, rows: of_seed[s] + of_labels[s, d] + of_patient[rows].mean(), 4, 3, np.arange(50), draws=3000
    )
    between = np.var(of_seed + of_labels.mean(axis=1)) / 4
    within = of_labels.var(axis=1).mean() / 12
    patients = of_patient.var() / 50
    assert min(between, within, patients) > 0.15 * (between + within + patients)  # all are seen
    assert found.var() == pytest.approx(between + within + patients, rel=0.12)
    assert found.mean() == pytest.approx((of_seed[:, None] + of_labels).mean() + of_patient.mean(), abs=0.08)


def test_resampled_seeds_add_their_chance_to_known_draws() -> None:
    rng = np.random.default_rng(1)
    of_seed, of_patient = rng.normal(size=4), rng.normal(0, 5, 50)
    known = of_seed[:, None] + draw_patients(50, 3000) @ of_patient / 50
    found = mean_over_seeds(known)
    assert found.var() == pytest.approx(of_seed.var() / 4 + of_patient.var() / 50, rel=0.1)
    np.testing.assert_array_equal(mean_over_seeds(known[:1]), known[0])
    assert bootstrap_p(known[0] + 100) == pytest.approx(2 / 3001)
    assert bootstrap_p([-1.0, 1.0, np.nan]) == 1


def test_one_model_leaves_the_patients_only() -> None:
    x = np.random.default_rng(2).normal(size=30)
    nested = nested_bootstrap(lambda s, d, rows: float(x[rows].mean()), 1, 1, np.arange(30), draws=50)
    assert np.array_equal(nested, patient_bootstrap(lambda rows: float(x[rows].mean()), np.arange(30), draws=50))


def test_a_paired_difference_is_narrow_where_models_err_alike() -> None:
    rng = np.random.default_rng(3)
    hard = rng.normal(size=100)
    a, b = hard + 0.1 * rng.normal(size=100), hard + 0.1 * rng.normal(size=100)
    paired = interval(patient_bootstrap(lambda rows: float(a[rows].mean() - b[rows].mean()), np.arange(100)))
    alone = interval(patient_bootstrap(lambda rows: float(a[rows].mean()), np.arange(100)))
    assert paired is not None
    assert alone is not None
    assert paired[1] - paired[0] < 0.3 * (alone[1] - alone[0])


def test_a_draw_that_is_refused_is_no_number() -> None:
    def statistic(rows: np.ndarray) -> float:
        if 0 not in rows:
            raise InputError("a class is missing")
        return 1.0

    found = patient_bootstrap(statistic, np.arange(5), draws=400)
    assert np.isnan(found).mean() == pytest.approx(0.8**5, abs=0.08)
    assert interval(found) == (1.0, 1.0)


def test_levels_of_an_interval() -> None:
    values = np.arange(101.0)
    assert interval(values) == pytest.approx((2.5, 97.5))
    assert interval(values, level=0.9) == pytest.approx((5, 95))


def test_too_little_to_resample_is_refused() -> None:
    with pytest.raises(UsageError, match="at least two"):
        patient_bootstrap(lambda rows: 0.0, ["a", "a"])
    with pytest.raises(UsageError, match="at least one seed"):
        nested_bootstrap(lambda s, d, rows: 0.0, 0, 1, [0, 1])


def test_intervals_that_cannot_be() -> None:
    assert interval([]) is None
    with pytest.raises(UsageError, match=r"between 0 and 1, such as 0\.95; got 95"):
        interval([1.0, 2.0], level=95)
    with pytest.raises(UsageError, match="between 0 and 1"):
        delong_interval([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.6], level=95)
