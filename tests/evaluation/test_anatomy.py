"""Endpoints of drawn chests whose widths, heights and areas are known."""

import numpy as np
import pytest

from xray2xray.evaluation.anatomy import (
    body_width_mm,
    diaphragm_mm,
    heart_width_mm,
    lung_area_cm2,
    lung_field,
    lung_mask,
)
from xray2xray.projection.geometry import preset

GEOMETRY = preset("parallel", 128)  # 370 mm over 128 pixels
MM = GEOMETRY.field_mm / GEOMETRY.size
Y, X = np.meshgrid(-GEOMETRY.offsets_mm, GEOMETRY.offsets_mm, indexing="ij")  # mm up, mm right


def drawing(width: float = 300, diaphragm: float = -60, heart: float = 100, wall: float = 20) -> np.ndarray:
    """A box of a body; above the diaphragm a lung inside the wall, in it a heart; soft edges of a pixel."""

    def step(inside_mm: np.ndarray) -> np.ndarray:
        return np.clip(inside_mm / MM + 0.5, 0, 1)

    body = step(width / 2 - np.abs(X)) * step(110 - np.abs(Y))
    lung = step(width / 2 - wall - np.abs(X)) * step(Y - diaphragm) * step(90 - Y)
    inside = step(heart / 2 - np.abs(X)) * step(Y - diaphragm) * step(40 - Y)
    return body * (6.0 - lung * (3.5 - 2.5 * inside))


@pytest.mark.parametrize("width", [180.0, 241.0, 300.0])
def test_width_of_the_body(width: float) -> None:
    assert body_width_mm(drawing(width), GEOMETRY) == pytest.approx(width, abs=1.5 * MM)


def test_a_couch_is_not_the_body() -> None:
    view = drawing(200.0)
    view[:, X[0] > 150] = np.maximum(view[:, X[0] > 150], 1.5)  # apart from it
    assert body_width_mm(view, GEOMETRY) == pytest.approx(200.0, abs=1.5 * MM)


@pytest.mark.parametrize("height", [-85.0, -60.0, -31.5])
def test_height_of_the_diaphragm(height: float) -> None:
    assert diaphragm_mm(drawing(diaphragm=height), GEOMETRY) == pytest.approx(height, abs=MM)


def test_lung_area() -> None:
    found = lung_area_cm2(drawing(heart=0.01), GEOMETRY)
    assert found == pytest.approx(250 * 145 / 100, rel=0.05), "what is 25 mm inside the body"
    smaller = lung_area_cm2(drawing(heart=0.01, diaphragm=-30), GEOMETRY)
    assert found - smaller == pytest.approx(250 * 30 / 100, rel=0.1)


def test_lung_field() -> None:
    """The outline ends at the walls, and thin flanks and shoulders that drain outwards are no lung."""
    lung = (np.abs(X) < 130) & (Y > -60) & (Y < 85)
    found = lung_field(drawing(heart=0.01), GEOMETRY, frontal=True)
    assert np.count_nonzero(found ^ lung) < 0.12 * lung.sum()
    flanks = drawing(heart=0.01, wall=50)
    flanks[np.abs(X) > 115] = np.minimum(flanks[np.abs(X) > 115], 2.6)
    assert lung_mask(flanks, GEOMETRY, 0.25)[np.abs(X) > 110].any(), "they are as thin as lung"
    assert not lung_field(flanks, GEOMETRY, frontal=True)[np.abs(X) > 110].any()
    assert not lung_field(np.zeros_like(X), GEOMETRY, frontal=False).any()


@pytest.mark.parametrize("width", [60.0, 80.0, 100.0])
def test_width_of_the_heart(width: float) -> None:
    assert heart_width_mm(drawing(heart=width), GEOMETRY) == pytest.approx(width, abs=2 * MM)


def test_endpoints_survive_noise_and_nothing() -> None:
    noisy = drawing() + np.random.default_rng(0).normal(0, 0.1, X.shape)
    assert diaphragm_mm(noisy, GEOMETRY) == pytest.approx(-60, abs=2 * MM)
    assert heart_width_mm(noisy, GEOMETRY) == pytest.approx(100, abs=3 * MM)
    for measure in (body_width_mm, diaphragm_mm, heart_width_mm, lung_area_cm2):
        assert np.isfinite(measure(np.zeros_like(X), GEOMETRY)), measure.__name__
