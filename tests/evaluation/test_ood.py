import numpy as np
import pytest

from xray2xray.evaluation.ood import out_of_distribution, reconstruction_error


def test_typical_and_strange_views() -> None:
    training = np.quantile(np.random.default_rng(0).gamma(4, 0.002, 2000), np.linspace(0, 1, 101))
    typical = out_of_distribution(float(training[50]), training)
    assert not typical.warn
    assert typical.percentile == pytest.approx(0.5)
    assert "looks like" in typical.words
    strange = out_of_distribution(10 * training[50], training)
    assert strange.warn
    assert strange.percentile == 1
    assert strange.ratio == pytest.approx(10)
    assert "10.0 times" in strange.words


def test_unknown_distribution_is_refused() -> None:
    with pytest.raises(ValueError, match="no training distribution"):
        out_of_distribution(0.1, [])


def test_reconstruction_error_is_the_rmse_on_the_unit_scale() -> None:
    assert reconstruction_error(np.zeros((2, 8, 8)), np.full((2, 8, 8), 5.0)) == pytest.approx([0.5, 0.5])
