"""Outlines of lungs and heart: widths and their ratio, and what the packaged network finds on a virtual patient."""

import numpy as np
import pytest
import torch

from xray2xray.core.errors import InputError
from xray2xray.models.outlines import OutlineConfig, UNet, cardiothoracic_ratio, packaged, width


def test_the_ratio_is_that_of_the_outer_widths() -> None:
    lungs, heart = np.zeros((32, 32), bool), np.zeros((32, 32), bool)
    lungs[5:20, 4:10] = lungs[5:20, 20:24] = True
    heart[12:20, 10:20] = True
    assert (width(lungs), width(heart), width(np.zeros((4, 4), bool))) == (20, 10, 0)
    assert cardiothoracic_ratio(heart, lungs) == 0.5
    assert cardiothoracic_ratio(heart, ~heart & False) == 10, "no lungs: no division by zero"


def test_three_answers_for_every_pixel() -> None:
    assert UNet(OutlineConfig((8, 16)))(torch.zeros(2, 1, 32, 48)).shape == (2, 3, 32, 48)
    with pytest.raises(ValueError, match="multiples of 8"):
        OutlineConfig((12,))


@pytest.mark.parametrize("view_p", [np.zeros((128, 64)), np.zeros((100, 100)), np.full((128, 128), np.nan)])
def test_other_pictures_are_refused(view_p: np.ndarray) -> None:
    with pytest.raises(InputError, match="square views"):
        packaged()(view_p)
