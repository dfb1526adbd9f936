import numpy as np
import pytest

from benchmarks.second_view import gains, main, markdown, scored, summary
from xray2xray.models.world_model import WorldModel
from xray2xray.phantoms import patient_volume
from xray2xray.projection import STANDARD_ARC, preset, render


def test_scored_angles_are_far_from_both_views_and_the_mirror_image():
    assert {STANDARD_ARC[i] for i in scored(90.0)} == {*range(-60, -25, 5), *range(30, 65, 5)}
    assert {STANDARD_ARC[i] for i in scored(45.0)} == {*range(-90, -25, 5), *range(75, 95, 5)}


def test_a_lateral_helps_the_packaged_model():
    views_p = render(patient_volume(1_000_003), preset("chest", 128), STANDARD_ARC)
    alone, both = gains(WorldModel.from_pretrained(form="direct"), views_p, 90.0)
    assert both > alone


def test_the_summary_is_paired():
    row = summary(np.array([30.0, 20.0, 25.0]), np.array([31.0, 21.0, 26.0]))
    assert row["gain"] == 1.0
    assert np.allclose(row["gain_ci95"], 1.0)
    assert "| virtual, and +90 | 25.00 | 26.00 | +1.00 [1.00, 1.00] |" in markdown({"virtual, and +90": row})


def test_nothing_to_look_at_is_one_clear_line(tmp_path):
    for arguments in (["--procedural", "0"], ["--source", str(tmp_path / "none")]):
        with pytest.raises(SystemExit, match=r"benchmarks\.second_view: "):
            main([*arguments, "--out", str(tmp_path / "out")])
