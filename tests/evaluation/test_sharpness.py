"""Sharpness of views whose spectrum, edges and bones are known."""

import numpy as np
import pytest

from xray2xray.evaluation import sharpness
from xray2xray.evaluation.sharpness import BANDS, spectra

N = 128


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*shape, N, N)).astype(np.float32)


def periodic_blur(images: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur in the Fourier plane, so that its transfer function is exactly known."""
    f = np.fft.fftfreq(N)
    transfer = np.exp(-2 * (np.pi * sigma) ** 2 * (f[:, None] ** 2 + f**2))
    return np.fft.ifft2(np.fft.fft2(images) * transfer).real.astype(np.float32)


def wave(cycles: float, angle_deg: float = 0.0) -> np.ndarray:
    """A plane wave; at 0 degrees its crests are horizontal."""
    y, x = np.mgrid[:N, :N] / N
    angle = np.deg2rad(angle_deg)
    return np.cos(2 * np.pi * cycles * (y * np.cos(angle) + x * np.sin(angle))).astype(np.float32)


@pytest.mark.parametrize("window", [False, True])
def test_a_blurred_view_loses_the_power_of_its_transfer_function(window: bool) -> None:
    truth, sigma = noise(16), 1.5
    found = sharpness.power_db(spectra(periodic_blur(truth, sigma), truth, window)).mean(axis=0)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(N) * N, np.fft.fftfreq(N) * N))
    for value, (low, high) in zip(found, BANDS.values(), strict=True):
        ring = (radius >= low * 64) & (radius < high * 64)
        lost = np.mean(
            np.exp(-4 * (np.pi * sigma * radius[ring] / N) ** 2)
        )  # white noise has the same power everywhere
        assert value == pytest.approx(10 * np.log10(lost), abs=0.6)


def test_power_counts_amplitude_squared_in_its_own_band() -> None:
    truth = sum(wave(cycles) for cycles in (6, 12, 24, 48))
    half = truth - wave(12) / 2
    assert sharpness.power_db(spectra(half, truth)) == pytest.approx([0, 20 * np.log10(0.5), 0, 0], abs=0.2)


def test_sums_over_rings_are_those_over_the_whole_plane() -> None:
    image = noise()
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(N) * N, np.fft.fftfreq(N) * N))
    found = spectra(image, image, window=False).truth
    assert found.shape == (2, 64)
    assert found.sum() == pytest.approx(power[radius < 64].sum(), rel=1e-5)
    assert found.sum(axis=0)[10] == pytest.approx(power[(radius >= 10) & (radius < 11)].sum(), rel=1e-5)


def test_ring_correlation_is_one_with_itself_and_zero_with_other_noise() -> None:
    first, other = noise(12), noise(12, seed=1)
    assert sharpness.ring_correlation(spectra(3 * first, first)) == pytest.approx(np.ones((12, 4)))
    assert sharpness.ring_correlation(spectra(-first, first)) == pytest.approx(-np.ones((12, 4)))
    assert np.abs(sharpness.ring_correlation(spectra(other, first)).mean(axis=0)).max() < 0.05
    mixed = sharpness.ring_correlation(spectra(first + other, first)).mean(axis=0)
    assert mixed == pytest.approx(np.full(4, np.sqrt(0.5)), abs=0.05)  # signal and noise of equal power


def test_a_blur_keeps_the_correlation() -> None:
    truth = noise()
    assert sharpness.ring_correlation(spectra(periodic_blur(truth, 1.0), truth, False)) == pytest.approx(
        np.ones(4), abs=1e-3
    )


def test_horizontal_detail_is_that_of_horizontal_edges_only() -> None:
    truth, right, wrong = wave(12) + wave(12, 90), noise() / 100, noise(seed=1)
    horizontal = wave(12) + 0 * truth
    assert sharpness.horizontal_correlation(spectra(horizontal + right, truth + right)) > 0.95
    vertical = wave(12, 90) + right
    assert sharpness.horizontal_correlation(spectra(vertical, truth + right)) < 0.9
    assert abs(sharpness.horizontal_correlation(spectra(wrong, noise()))) < 0.4
    shifted = np.roll(truth, 5, axis=1)  # along the crests: horizontal detail stays where it is
    assert sharpness.horizontal_correlation(spectra(shifted + right, truth + right)) > 0.9


def test_a_window_keeps_the_step_at_the_border_out_of_the_spectrum() -> None:
    """A ramp has no detail; without a window the step from its end to its beginning looks like some."""
    ramp = np.linspace(0, 1, N, dtype=np.float32)[:, None] + np.zeros((N, N), np.float32)
    rough = ramp + noise() / 300
    smooth = ramp + periodic_blur(noise() / 300, 2.0)
    lost = {window: sharpness.power_db(spectra(smooth, rough, window))[2] for window in (False, True)}
    assert lost[True] < lost[False] - 3


@pytest.mark.parametrize("size", [16, 64, 256])
def test_bands_scale_with_the_size(size: int) -> None:
    images = np.random.default_rng(0).normal(size=(2, size, size)).astype(np.float32)
    found = sharpness.power_db(spectra(images / 2, images))
    expected = np.full((2, 4), 20 * np.log10(0.5))
    if size == 16:
        expected[:, 0] = np.nan  # half a cycle to one: no ring
    assert found == pytest.approx(expected, nan_ok=True, abs=1e-4)


def test_views_without_detail_are_no_error() -> None:
    flat, truth = np.zeros((N, N), np.float32), noise()
    assert np.all(sharpness.ring_correlation(spectra(flat, truth)) == 0)
    assert np.all(sharpness.power_db(spectra(flat, truth)) < -60)
    assert np.isfinite(sharpness.spectral_features(spectra(flat, truth).predicted)).all()


def test_gradient_similarity() -> None:
    truth = periodic_blur(noise(3), 2.0)
    assert sharpness.gradient_similarity(truth, truth) == pytest.approx(1)
    blurred = [sharpness.gradient_similarity(periodic_blur(truth, sigma), truth).mean() for sigma in (1.0, 2.0, 4.0)]
    assert 1 > blurred[0] > blurred[1] > blurred[2]
    across = np.linspace(0, 3, N, dtype=np.float32)
    ramp = np.broadcast_to(
        across, (N, N)
    )  # the same step g everywhere, doubled: (4 g^2 + c) / (5 g^2 + c), but for borders
    square = (2 * (across[1] - across[0])) ** 2
    expected = (4 * square + sharpness.GMS_CONSTANT) / (5 * square + sharpness.GMS_CONSTANT)
    assert sharpness.gradient_similarity(2 * ramp, ramp) == pytest.approx(expected, abs=2e-3)


def test_bone_is_found_where_it_is_drawn() -> None:
    bone_mm = np.zeros((2, N, N), np.float32)
    bone_mm[:, 20:110:15] = 40.0  # ribs of one pixel
    soft = 0.3 + 0.01 * noise(2)
    ribbed = soft + 0.004 * bone_mm
    aurocs = {
        name: sharpness.bone_auroc(view, bone_mm, ribbed, 3.4) for name, view in (("ribs", ribbed), ("none", soft))
    }
    assert aurocs["ribs"] == pytest.approx([1, 1], abs=1e-3)
    assert aurocs["none"] == pytest.approx([0.5, 0.5], abs=0.05)
    assert np.isnan(sharpness.bone_auroc(ribbed, 0 * bone_mm, ribbed, 3.4)).all()


def test_two_sample_test() -> None:
    rng = np.random.default_rng(0)
    patients = rng.normal(size=(40, 1, 6))  # what patients have in common with themselves tells nothing
    real, same, other = (patients + rng.normal(size=(40, 5, 6)) for _ in range(3))
    equal = sharpness.two_sample(real, same)
    assert equal.ci95[0] < 0.5 < equal.ci95[1] + 0.05
    assert equal.mean == pytest.approx(0.5, abs=0.08)
    apart = sharpness.two_sample(real, other + 5)
    assert apart.mean == pytest.approx(1)
    between = sharpness.two_sample(real, other + 0.5)
    assert 0.6 < between.mean < 1
    assert between.ci95[0] < between.mean < between.ci95[1]
    assert sharpness.two_sample(real[:5], same[:5]) is None
