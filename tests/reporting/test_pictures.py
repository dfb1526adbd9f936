from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.projection.geometry import STANDARD_ARC
from xray2xray.radiograph.display import to_gray
from xray2xray.reporting import pictures


@pytest.fixture(scope="module")
def views_p(ellipsoid_views: Callable[..., np.ndarray]) -> np.ndarray:
    return ellipsoid_views([0], size=32)[0]


def test_contact_sheet_shows_the_views_in_order(views_p: np.ndarray) -> None:
    gray = list(to_gray(views_p[:3]))
    sheet = np.asarray(pictures.contact_sheet([("a", gray), ("b", gray[::-1])], ["1", "2", "3"], side=32))
    left = sheet.shape[1] - 3 * 38
    for row, wanted in enumerate((gray, gray[::-1])):
        for column in range(3):
            y, x = 30 + 38 * row, left + 38 * column
            assert np.array_equal(sheet[y : y + 32, x : x + 32, 0], wanted[column])


def test_error_colours_have_a_fixed_scale() -> None:
    colours = pictures.error_colours(np.array([[0.0, 1.0, 2.0, 5.0, -2.0]]))
    assert colours.shape == (1, 5, 3)
    assert colours[0, 0].max() < 10
    assert np.array_equal(colours[0, 2], colours[0, 3])
    assert np.array_equal(colours[0, 2], colours[0, 4])


@pytest.mark.parametrize(("ping_pong", "frames"), [(False, 37), (True, 72)])
def test_gif_has_a_frame_for_each_angle(views_p: np.ndarray, tmp_path: Path, ping_pong: bool, frames: int) -> None:
    path = tmp_path / "views.gif"
    pictures.views_gif(path, views_p, views_p, STANDARD_ARC, side=64, ping_pong=ping_pong)
    with Image.open(path) as gif:
        assert gif.n_frames == frames
        assert gif.info["loop"] == 0
        assert gif.size == (146, 98)


@pytest.mark.parametrize("known", [True, False])
def test_unfold_picture_with_and_without_truth(views_p: np.ndarray, known: bool) -> None:
    at = [0, 9, 18, 27, 36]
    truth = {"truth": views_p[at]} if known else {}
    picture = pictures.unfold_picture(
        views_p[18], {"predicted": views_p[at], **truth}, [STANDARD_ARC[i] for i in at], side=64
    )
    assert picture.width > 5 * 64 + 90
    assert np.asarray(picture).max() > 100


def test_case_picture_ends_with_the_error_row(views_p: np.ndarray) -> None:
    at = [0, 18, 36]
    exact = pictures.case_picture(views_p[at], {"direct": views_p[at]}, [-90.0, 0.0, 90.0])
    wrong = pictures.case_picture(views_p[at], {"direct": views_p[at] + 2}, [-90.0, 0.0, 90.0])
    error_row = slice(-140, -20)
    assert np.asarray(exact)[error_row, -140:-20].max() < 10 < 200 < np.asarray(wrong)[error_row, -140:-20].max()
