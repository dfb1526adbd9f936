"""Alignment undoes what it may, distances are the known ones, and a wrong depth stays wrong."""

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.experiments.radiographs.outlines import (
    Placement,
    align,
    align_lateral,
    compare,
    dice,
    height_and_depth,
    outline_distance,
    placed,
)

SIZE = 128
ROW, COLUMN = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2


def ellipse(height: float, width: float, down: float = 0.0, right: float = 0.0) -> np.ndarray:
    return ((ROW - down) / height) ** 2 + ((COLUMN - right) / width) ** 2 <= 1


def lungs(scale_height: float = 1.0, scale_width: float = 1.0, down: float = 0.0) -> np.ndarray:
    """Two unlike ellipses beside each other."""
    height, width = scale_height, scale_width
    left = ellipse(34 * height, 12 * width, -4 * height + down, -22 * width)
    return left | ellipse(28 * height, 14 * width, 2 * height + down, 20 * width)


def test_the_same_masks() -> None:
    found = compare((lungs(), ellipse(30, 25)), (lungs(), ellipse(30, 25)), 2.0)
    assert found["dice"] == found["dice_unaligned"] == found["frontal_dice"] == 1
    assert found["distance_mm"] == found["depth_error"] == 0
    assert found["depth_to_height"] == found["height_scale"] == found["width_scale"] == 1


def test_alignment_undoes_a_shift_and_two_scales() -> None:
    found = align(lungs(0.85, 1.2, down=7.0), lungs())
    assert found.height == pytest.approx(1 / 0.85, rel=0.02)
    assert found.width == pytest.approx(1 / 1.2, rel=0.02)
    assert found.down == pytest.approx(-7.0 / 0.85, abs=0.7)
    assert dice(placed(lungs(0.85, 1.2, down=7.0), found), lungs()) > 0.96


def test_a_scale_stays_within_its_bounds() -> None:
    found = align(ellipse(10, 10), ellipse(40, 40))
    assert max(found.height, found.width) <= 1.6 + 1e-9


@pytest.mark.parametrize("shift", [2, 5])
def test_a_shifted_disc_is_two_over_pi_of_the_shift_away(shift: int) -> None:
    away = outline_distance(ellipse(40, 40), ellipse(40, 40, right=float(shift)))
    assert away == pytest.approx(2 / np.pi * shift, rel=0.12)
    assert outline_distance(ellipse(40, 40), ellipse(30, 30)) == pytest.approx(10, abs=0.5)


def test_height_and_depth_follow_the_scale() -> None:
    height, depth = height_and_depth(ellipse(40, 20))
    assert height / depth == pytest.approx(2, rel=0.03)


def test_only_the_place_from_front_to_back_is_free_on_a_lateral() -> None:
    given = Placement(1.1, 0.9, 3.0, 99.0)
    found = align_lateral(ellipse(30, 20, right=9), ellipse(33, 18, down=3), given)
    assert (found.height, found.width, found.down) == (1.1, 0.9, 3.0)
    assert found.right == pytest.approx(-0.9 * 9, abs=0.5)


def test_a_deeper_lateral_is_penalised_although_the_frontals_agree() -> None:
    truth = (lungs(), ellipse(30, 25))
    right, deep = (compare((lungs(), ellipse(30, depth, right=6)), truth, 2.0) for depth in (25, 32))
    assert right["dice"] > 0.99
    assert right["dice_unaligned"] < 0.9
    assert deep["dice"] < 0.9
    assert deep["depth_ratio"] == pytest.approx(32 / 25, rel=0.03)
    assert deep["distance_mm"] > right["distance_mm"] + 4


def test_magnification_and_breath_are_no_error() -> None:
    """Everything larger by a fifth, and a deep breath that both views show."""
    found = compare((lungs(1.35, 1.2), ellipse(30 * 1.35, 25 * 1.2)), (lungs(), ellipse(30, 25)), 2.0)
    assert found["dice_unaligned"] < 0.85
    assert found["dice"] > 0.96
    assert found["depth_error"] < 0.03


def test_nothing_found_is_said() -> None:
    nothing = np.zeros((SIZE, SIZE), bool)
    with pytest.raises(InputError, match="no lungs were found on the predicted lateral"):
        compare((lungs(), nothing), (lungs(), ellipse(30, 25)), 2.0)
