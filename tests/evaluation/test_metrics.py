import numpy as np
import pytest
from skimage.metrics import structural_similarity

from xray2xray.evaluation import metrics
from xray2xray.statistics.intervals import mean_interval


def smooth_images(n: int, size: int, seed: int = 0) -> np.ndarray:
    """Low-frequency pictures in [0, 1], as projections are."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = rng.uniform(1, 6, (n, 2))
    return np.stack([0.3 + 0.2 * np.sin(a * 6 * x) * np.cos(b * 6 * y) for a, b in waves]).astype(np.float32)


@pytest.mark.parametrize("noise", [0.002, 0.05, 0.3])
def test_ssim_agrees_with_scikit_image(noise: float) -> None:
    truth = smooth_images(3, 64)
    predicted = (truth + noise * np.random.default_rng(1).normal(size=truth.shape)).astype(np.float32)
    oracle = [
        structural_similarity(
            t.astype(np.float64),
            p.astype(np.float64),
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            win_size=11,
        )
        for t, p in zip(truth, predicted, strict=True)
    ]
    assert metrics.ssim(predicted, truth) == pytest.approx(oracle, abs=2e-5)


def test_ssim_takes_any_stack_and_refuses_tiny_images() -> None:
    stack = smooth_images(6, 32).reshape(2, 3, 32, 32)
    assert metrics.ssim(stack, stack).shape == (2, 3)
    assert metrics.ssim(stack, stack) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="11 x 11"):
        metrics.ssim(np.zeros((8, 8)), np.zeros((8, 8)))


def test_psnr_of_a_known_error_and_of_none() -> None:
    truth = smooth_images(1, 32)
    assert metrics.psnr(truth + np.float32(0.1), truth) == pytest.approx(20.0, abs=1e-4)
    assert metrics.psnr(truth, truth) == pytest.approx(metrics.PSNR_CAP_DB)


def test_unit_clips_at_ten() -> None:
    assert metrics.unit([-1.0, 0.0, 5.0, 10.0, 12.0]) == pytest.approx([0, 0, 0.5, 1, 1])


def test_r2_of_the_mean_view_is_zero_and_of_the_truth_one() -> None:
    null = np.random.default_rng(0).uniform(0.01, 0.02, (5, 4))
    assert metrics.r2(null, null) == pytest.approx(np.zeros(4))
    assert metrics.r2(0 * null, null) == pytest.approx(np.ones(4))


def test_r2_interval_holds_the_value_and_narrows_with_more_patients() -> None:
    rng = np.random.default_rng(0)

    def interval(n: int) -> tuple[float, float, float]:
        null = rng.uniform(0.01, 0.03, (n, 3))
        error = null * rng.uniform(0.2, 0.8, (n, 3))
        bounds = metrics.r2_interval(error, null)
        assert bounds is not None
        return bounds[0], float(metrics.r2(error, null).mean()), bounds[1]

    few, many = interval(8), interval(200)
    assert few[0] < few[1] < few[2]
    assert many[0] < many[1] < many[2]
    assert many[2] - many[0] < (few[2] - few[0]) / 2
    assert metrics.r2_interval(np.ones((1, 3)), np.ones((1, 3))) is None


def test_mean_interval_covers_about_95_percent_of_normal_samples() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(200):
        bounds = mean_interval(rng.normal(size=40), draws=400, seed=seed)
        assert bounds is not None
        hits += bounds[0] <= 0 <= bounds[1]
    assert 0.88 < hits / 200 < 0.99
