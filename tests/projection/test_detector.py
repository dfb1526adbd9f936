import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.projection.detector import detect


@pytest.mark.parametrize("p", [0.0, 2.0, 5.0])
def test_noise_has_the_variance_of_counted_quanta(p):
    photons = 1e5
    noisy = detect(np.full((300, 300), p), photons)
    assert noisy.mean() == pytest.approx(p, abs=4e-3)
    assert noisy.var() == pytest.approx(np.exp(p) / photons, rel=0.03)


def test_a_high_dose_shows_the_line_integrals_themselves():
    p = np.random.default_rng(0).uniform(0, 8, (2, 16, 16))
    assert np.allclose(detect(p, 1e14), p, atol=2e-5)


def test_blur_keeps_the_quanta_and_has_its_width():
    p = np.full((65, 65), 20.0)
    p[32, 32] = 0  # a hole in a sheet of lead
    intensity = np.exp(-detect(p, 1e14, pixel_mm=0.5, blur_mm=1.0).astype(float))
    assert intensity.sum() == pytest.approx(1, rel=1e-3)
    rim = np.exp(-detect(np.roll(p, -32, axis=1), 1e14, pixel_mm=0.5, blur_mm=1.0).astype(float))
    assert rim.sum() == pytest.approx(1, rel=1e-3)  # none is lost at the edge
    along = np.arange(65) - 32
    assert np.average(along**2, weights=intensity.sum(0)) == pytest.approx((1.0 / 0.5) ** 2, rel=0.02)


def test_a_stack_is_blurred_view_by_view():
    p = np.zeros((2, 20, 20))
    p[1] = 3
    assert np.allclose(detect(p, 1e14, blur_mm=3.0), p, atol=1e-5)


def test_nothing_counted_stays_finite():
    assert detect(np.full((4, 4), 60.0), 100.0) == pytest.approx(np.log(200))


def test_the_seed_decides_the_noise():
    p = np.ones((8, 8))
    assert np.array_equal(detect(p, 1e3, seed=5), detect(p, 1e3, seed=5))
    assert not np.array_equal(detect(p, 1e3, seed=5), detect(p, 1e3, seed=6))
    assert not np.array_equal(detect(p, 1e3, seed=None), detect(p, 1e3, seed=None))


def test_bad_input_is_refused():
    for bad in ({"photons": 0}, {"photons": np.nan}, {"photons": 1e3, "blur_mm": -1}, {"photons": 1, "pixel_mm": 0}):
        with pytest.raises(InputError, match="photons and pixel_mm"):
            detect(np.ones((4, 4)), **bad)
    for p, photons in ((0.0, 1e17), (-30.0, 1e5)):  # clipped, they would read as attenuation
        with pytest.raises(InputError, match="lower photons"):
            detect(np.full((4, 4), p), photons)
    with pytest.raises(InputError, match="finite"):
        detect(np.full((4, 4), np.nan), 1e3)
