from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.radiograph import save_png, to_gray


def test_window_is_fixed_and_dense_is_bright() -> None:
    gray = to_gray(np.array([[-1.0, 0.0, 3.5, 7.0, 12.0]]))
    assert gray.dtype == np.uint8
    np.testing.assert_array_equal(gray, [[0, 0, 128, 255, 255]])
    np.testing.assert_array_equal(to_gray(np.array([2.0, 3.0]), window=(2.0, 4.0)), [0, 128])


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_round_trip(tmp_path: Path, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    save_png(tmp_path / "new" / "a.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), picture)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]


def test_png_of_floats_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="to_gray"):
        save_png(tmp_path / "a.png", np.zeros((4, 4)))
