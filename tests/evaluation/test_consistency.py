"""Views of one body are consistent, views of several bodies are not."""

import numpy as np
import pytest

from xray2xray.evaluation.consistency import consistency
from xray2xray.projection.ellipsoids import Ellipsoid, exact_views
from xray2xray.projection.geometry import STANDARD_ARC, preset


def body(seed: int, beam: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [
        Ellipsoid(rng.uniform(-25, 25, 3), rng.uniform((70, 50, 60), (110, 80, 100)), 0.02),
        Ellipsoid(rng.uniform(-40, 40, 3), rng.uniform(15, 30, 3), 0.02),
    ]
    return exact_views(parts, preset(beam, 32), STANDARD_ARC).astype(np.float32)


@pytest.mark.parametrize(("beam", "mirrored"), [("parallel", 1e-6), ("chest", 0.03)])
def test_one_body_is_consistent_and_two_are_not(beam: str, mirrored: float) -> None:
    geometry = preset(beam, 32)
    one, other = body(0, beam), body(1, beam)
    mixed = np.where((np.arange(37) % 2 == 0)[:, None, None], one, other)
    found, wrong = consistency(one, geometry), consistency(mixed, geometry)
    assert found["row_sums"] < 0.02, "but for the pixels"
    assert found["mirror"] < mirrored
    assert found["range"] < 0.1, "but for the coarse grid"
    for test in ("row_sums", "range"):
        assert wrong[test] > 4 * found[test], test


def test_opposite_views_of_two_bodies_are_no_mirror_images() -> None:
    one, other = body(0, "parallel"), body(1, "parallel")
    views = one.copy()
    views[-1] = other[-1]
    assert consistency(views, preset("parallel", 32))["mirror"] > 0.1
