from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.errors import InputError
from xray2xray.radiograph import radiograph, save_png, to_gray


def test_window_is_fixed_and_dense_is_bright() -> None:
    gray = to_gray(np.array([[-1.0, 0.0, 3.5, 7.0, 12.0]]))
    assert gray.dtype == np.uint8
    np.testing.assert_array_equal(gray, [[0, 0, 128, 255, 255]])
    np.testing.assert_array_equal(to_gray(np.array([2.0, 3.0]), window=(2.0, 4.0)), [0, 128])


def _edge() -> np.ndarray:
    p = np.full((2, 60, 100), 2.0)
    p[:, :, 50:] = 3.0
    return p


def test_without_local_contrast_a_radiograph_is_the_window() -> None:
    p = np.random.default_rng(0).uniform(0, 8, (3, 9, 9))
    np.testing.assert_array_equal(radiograph(p, local_contrast=0), to_gray(p))
    np.testing.assert_array_equal(radiograph(p, window=(1, 3), local_contrast=0), to_gray(p, (1, 3)))


def test_inverted_is_the_exact_complement() -> None:
    p = np.random.default_rng(1).uniform(0, 8, (9, 9))
    np.testing.assert_array_equal(radiograph(p, invert=True), 255 - radiograph(p))


def test_local_contrast_raises_edges_and_leaves_what_is_flat() -> None:
    plain, raised = to_gray(_edge()).astype(int), radiograph(_edge(), local_contrast=0.5).astype(int)
    np.testing.assert_array_equal(raised[..., :30], plain[..., :30])
    np.testing.assert_array_equal(raised[..., 70:], plain[..., 70:])
    # the neighbourhood hardly changes across the edge itself, so all of the step is added once more, half times
    step = (raised[..., 50] - raised[..., 49]) / (plain[..., 50] - plain[..., 49])
    assert step.mean() == pytest.approx(1.5, abs=0.1)
    assert abs(raised.mean() - plain.mean()) < 0.5


def test_views_of_a_stack_do_not_mix() -> None:
    p = np.stack([np.zeros((20, 20)), np.random.default_rng(2).uniform(0, 8, (20, 20))])
    np.testing.assert_array_equal(radiograph(p)[1], radiograph(p[1]))
    assert not radiograph(p)[0].any()


def test_impossible_displays_are_refused() -> None:
    for bad in ({"window": (3.0, 3.0)}, {"local_contrast": -1.0}, {"local_contrast": np.nan}):
        with pytest.raises(InputError, match="radiograph needs"):
            radiograph(np.zeros((4, 4)), **bad)
    with pytest.raises(InputError, match="radiograph needs"):
        radiograph(np.zeros(4))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_round_trip(tmp_path: Path, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    save_png(tmp_path / "new" / "a.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), picture)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]


def test_png_of_floats_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="to_gray"):
        save_png(tmp_path / "a.png", np.zeros((4, 4)))
