import numpy as np
import pytest

from xray2xray.experiments.downstream.calibration import JUDGED, main, markdown, other_machine


def test_another_machine_is_harder_softer_and_noisier():
    view = np.full((64, 64), 5.0, np.float32)
    seen = other_machine(view, 3.4, 0)
    assert seen.mean() == pytest.approx(0.93 * 5, rel=0.01)
    expected = np.exp(0.93 * 5) / (0.5 * 30_000 * 3.4**2)  # the variance of a photon count's logarithm
    assert seen.var() == pytest.approx(expected, rel=0.1)
    assert not np.array_equal(seen, other_machine(view, 3.4, 1))
    edge = np.repeat([[0.0] * 32 + [3.0] * 32], 64, axis=0).astype(np.float32)
    assert np.abs(np.diff(other_machine(edge, 3.4, 0), axis=1)).max() < 0.93 * 3


def test_errors_of_both_signs_do_not_cancel():
    def row(finding, ratio):
        figures = {"auroc": 0.7, "calibration_slope": 1.0, "ici": 0.1, "expected_observed": ratio}
        return [{"finding": finding, "method": "m", "judged": a, "by": b, **figures} for a, b in JUDGED]

    text = markdown([*row("edema", 2.0), *row("cvd_prevalent", 0.5)])
    assert f"| `m` | 0.700, 0.700 |{' 0.100, 2.00 |' * len(JUDGED)}" in text
    assert f"| `m` | 0.700, 0.700 |{' 0.100, 0.50 |' * len(JUDGED)}" in text


def test_no_store_is_one_clear_line(tmp_path, refused):
    assert "nowhere" in refused(main, [tmp_path / "nowhere", "--out", tmp_path / "out"])
