"""The realism benchmark's own measures, on pictures whose answer is known."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from xray2xray.experiments.realism import findings, masks, pairs, scans, spectra
from xray2xray.models.outlines import cardiothoracic_ratio
from xray2xray.volume import Volume, read_volume


def centred(shape: tuple[int, int, int], voxel: float) -> np.ndarray:
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * voxel
    return affine


def test_odds_ratios_of_a_table_of_known_counts(tmp_path: Path) -> None:
    both, first, second, neither = 6, 2, 3, 9
    rows = [(1, 1)] * both + [(1, 0)] * first + [(0, 1)] * second + [(0, 0)] * neither
    text = ["image,Atelectasis,Cardiomegaly,Consolidation,Edema,PleuralEffusion"]
    text += [f"{i}.png,{a},{b},0,0,0" for i, (a, b) in enumerate(rows)]
    (tmp_path / "labels.csv").write_text("\n".join(text))
    labels = findings.read_labels(tmp_path / "labels.csv")
    assert labels.sum(axis=0).tolist() == [8, 9, 0, 0, 0]
    assert findings.odds_ratio(*labels.T[:2]) == pytest.approx(6.5 * 9.5 / (2.5 * 3.5))


def test_prepare_crops_the_frame_and_standardises() -> None:
    ramp = np.linspace(0, 1, 80)[:, None] * np.ones(40)
    image = np.full((128, 128), 0.08)
    image[20:100, 30:70] = ramp
    found = pairs.prepare(image)
    assert found.shape == (112, 112)
    assert abs(found.mean()) < 1e-5
    assert abs(found.std() - 1) < 1e-5
    # nothing but the ramp is left: every column the same, rows rising evenly in units of its own SD, 1 / sqrt(12)
    assert np.ptp(found, axis=1).max() < 1e-4
    np.testing.assert_allclose(np.diff(found[5:-5, 0]), np.sqrt(12) / 112, rtol=0.02)


def test_prepare_forgets_brightness_and_contrast() -> None:
    image = np.random.default_rng(0).uniform(0, 1, (128, 128))
    np.testing.assert_allclose(pairs.prepare(image), pairs.prepare(0.3 + 0.5 * image), atol=1e-4)


def test_display_is_linear_between_the_quantiles_of_the_body() -> None:
    p = np.concatenate([np.zeros(500), np.linspace(1, 5, 1001)])
    gray = pairs.display(p)
    assert (gray[p < 1.2] == 0).all()
    assert (gray[p > 4.8] == 1).all()
    assert gray[np.searchsorted(p, 3.0)] == pytest.approx(0.5, abs=1 / 255)


def test_scanned_box_is_a_square_about_what_is_not_padding() -> None:
    hu = np.full((40, 40, 30), -1000.0)
    hu[10:30, 12:26, 5:25] = 0
    ends = pairs.scanned_box_mm(Volume(hu, centred((40, 40, 30), 2.0)))
    np.testing.assert_allclose(ends, [[-20, 20], [-22, 18], [-20, 20]])


def test_pair_shows_the_heart_on_the_right_and_anterior_on_the_left() -> None:
    shape = (60, 60, 60)
    hu = np.full(shape, -1000.0)
    hu[6:54, 10:50] = -850.0
    hu[6:54, 10:50, :20] = 40.0
    hu[12:24, 34:46, 20:30] = 40.0  # x to the right, y to the front: left, anterior
    frontal, lateral = pairs.pair(Volume(hu, centred(shape, 5.0)))
    above_the_floor = slice(56, 74)
    assert frontal[above_the_floor, 60:].max() > frontal[above_the_floor, 20:50].max() + 0.5
    assert lateral[above_the_floor, 20:50].max() > lateral[above_the_floor, 60:90].max() + 0.5


def test_ridge_finds_a_linear_map_and_shrinks_without_one() -> None:
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(200, 5))
    frontal, lateral = (factors @ rng.normal(size=(5, 16 * 16)) for _ in range(2))
    linear = np.stack([frontal, lateral], 1).reshape(200, 2, 16, 16).astype(np.float32)
    train, test = pairs.split(linear)
    assert len(train) == round(200 * 498 / 696)
    guess = pairs.fit_predict(train, test[:, 0])
    assert pairs.skill(guess, pairs.flat(test[:, 1]), train[:, 1].mean(0))["r2"] > 0.99
    unrelated = linear.copy()
    unrelated[:, 1] = rng.normal(size=(200, 16, 16))
    train, test = pairs.split(unrelated)
    guess = pairs.fit_predict(train, test[:, 0])
    assert abs(pairs.skill(guess, pairs.flat(test[:, 1]), train[:, 1].mean(0))["r2"]) < 0.05


def test_ridge_is_that_of_the_normal_equations() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(50, 30)), rng.normal(size=(50, 7))
    basis = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:25].T
    z = (x - x.mean(0)) @ basis
    weights = np.linalg.solve(z.T @ z + 10 * np.eye(25), z.T @ (y - y.mean(0)))
    new = rng.normal(size=(4, 30))
    expected = y.mean(0) + (new - x.mean(0)) @ basis @ weights
    np.testing.assert_allclose(pairs.Ridge(x, y).predict(new, 25, 10.0), expected, rtol=1e-6, atol=1e-9)


def test_measures_of_rectangles() -> None:
    lungs, heart = np.zeros((100, 100), bool), np.zeros((100, 100), bool)
    lungs[20:70, 10:30] = lungs[20:70, 60:90] = True
    heart[50:70, 35:67] = True
    found = masks.measures(heart, lungs, 100)
    assert found == pytest.approx(
        {"ctr": 32 / 80, "lung_area_fraction": 0.25, "lung_aspect": 50 / 80, "lung_fill": 2500 / 4000}
    )
    assert cardiothoracic_ratio(heart, np.zeros_like(lungs)) == 32  # no lungs: absurd, not an error


def test_radial_power_of_white_noise_is_flat_at_its_variance() -> None:
    noise = np.random.default_rng(3).normal(0, 3, (200, 64, 64))
    found = spectra.radial_power(noise).mean(0)
    np.testing.assert_allclose(found[3:], 10 * np.log10(9), atol=0.5)  # a mean of logarithms is a little low


def test_radial_power_peaks_at_a_waves_frequency() -> None:
    x = np.arange(64)
    wave = np.cos(2 * np.pi * 10 * x / 64)[None, None, :] * np.ones((1, 64, 1)) + 100
    (found,) = spectra.radial_power(wave)
    assert found.argmax() == 10
    assert found[10] - found[20] > 60


def test_band_means_average_the_frequencies_of_a_band() -> None:
    spectrum = np.arange(100.0)
    np.testing.assert_allclose(spectra.band_means(spectrum), [3.5, 8.5, 18.0, 37.0])
    assert np.isnan(spectra.band_means(np.arange(12.0))[0])


def test_lung_spectrum_reads_patches_inside_the_lung_only() -> None:
    rng = np.random.default_rng(4)
    hu = np.full((80, 80, 8), 5000.0)
    gas = np.zeros(hu.shape, bool)
    gas[10:70, 10:70] = True
    hu[gas] = -850 + 10 * rng.normal(size=gas.sum())
    np.testing.assert_allclose(spectra.lung_spectrum(hu, gas)[3:], 20, atol=2)
    assert np.isnan(spectra.lung_spectrum(hu, np.zeros_like(gas))).all()


def test_describe_reads_mean_sd_and_quantiles_off_a_histogram() -> None:
    hu = np.random.default_rng(5).normal(40, 20, 200_000)
    found = scans.describe(scans.histogram(hu, np.ones(hu.shape, bool)))
    assert found is not None
    expected = {"mean": 40, "sd": 20, "q05": 40 - 1.645 * 20, "q50": 40, "q95": 40 + 1.645 * 20}
    assert found == pytest.approx(expected, abs=4)
    assert scans.describe(np.zeros(5, int)) is None


def test_masks_give_the_tables_own_ctr(real_data: Path) -> None:
    real = masks.load(real_data / "cxr_ctr")
    for name, n in (("jsrt", 247), ("wingspan", 130)):
        assert len(real[name]) == n
        assert np.abs(real[name][:, 0] - real[f"{name}_ctr_mask"]).max() < 0.01


def test_a_real_ct_becomes_its_own_picture_of_the_real_set(real_data: Path) -> None:
    ours = pairs.pair(read_volume(real_data / "ct" / "LIDC-IDRI-0001_2mm.nii.gz"))
    for view, name in zip(ours, ("ap", "lat")):
        theirs = pairs.read_view(real_data / "lidc_drr128" / f"LIDC-IDRI-0001_{name}.png")
        assert np.corrcoef(view.ravel(), theirs.ravel())[0, 1] > 0.95
        assert spearmanr(view.ravel(), theirs.ravel())[0] > 0.9
