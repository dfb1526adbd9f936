import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xray2xray.radiograph import match_quantiles, quantiles_of


def test_quantiles_of_a_uniform_distribution() -> None:
    values = quantiles_of(np.linspace(0, 8, 100_001), n=4)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [1, 3, 5, 7], atol=1e-4)


def test_any_monotone_tone_curve_is_undone() -> None:
    p = np.random.default_rng(0).gamma(3, 1, (64, 64)).astype(np.float32)
    reference = quantiles_of(p)
    for curve in (lambda v: v, lambda v: 1 - np.exp(-v / 2), lambda v: 1000 * v**3 + 7):
        matched = match_quantiles(curve(p.astype(np.float64)), reference)
        assert matched.dtype == np.float32
        inner = (p > reference[0]) & (p < reference[-1])  # beyond the outer quantiles nothing is known
        np.testing.assert_allclose(matched[inner], p[inner], atol=0.15)
        assert np.abs(matched - p)[inner].mean() < 0.01


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.uint8, (9, 11), elements=st.integers(0, 255)), st.integers(1, 40))
def test_order_and_ties_are_kept(gray: np.ndarray, n: int) -> None:
    reference = np.sort(np.random.default_rng(n).uniform(0, 8, n)).astype(np.float32)
    matched = match_quantiles(gray, reference).ravel()
    order = np.argsort(gray.ravel(), kind="stable")
    assert (np.diff(matched[order]) >= 0).all()
    for value in np.unique(gray):
        assert np.unique(matched[gray.ravel() == value]).size == 1
    assert matched.min() >= reference[0]
    assert matched.max() <= reference[-1]
