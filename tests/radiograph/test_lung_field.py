"""The lung field is found where it is, whatever the grey values; the curve rises; the frame is a similarity."""

import csv

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.errors import InputError
from xray2xray.radiograph import read_radiograph
from xray2xray.radiograph.lung_field import (
    LEVELS,
    STANDARD_CENTRE,
    STANDARD_P,
    STANDARD_TOP,
    STANDARD_WIDTH,
    find_lung_field,
    levels_to_p,
    lung_field_levels,
    normalise_radiograph,
    standard_frame,
)


def chest(centre: float = 0.5, width: float = 0.6, n: int = 128) -> np.ndarray:
    """Two dark ellipses, `width` of the side from edge to edge, in a bright trunk whose belly is brighter."""
    row, column = (np.mgrid[:n, :n] + 0.5) / n
    u, v = (column - centre) / (width / 2), (row - 0.45) / 0.27
    gray = 0.6 + 0.3 * row
    lungs = ((np.abs(u) - 0.56) / 0.44) ** 2 + v**2 < 1
    gray[lungs] = 0.2 + 0.05 * row[lungs]
    return gray.astype(np.float32)


@pytest.mark.parametrize(("centre", "width"), [(0.5, 0.6), (0.45, 0.6), (0.5, 0.48)])
def test_found_where_it_is(centre, width):
    field = find_lung_field(chest(centre, width))
    assert field.centre == pytest.approx(centre, abs=0.02)
    assert field.width == pytest.approx(width, rel=0.12)
    assert field.likeness > 0.6


def test_any_rising_curve_gives_the_same_field():
    gray = chest()
    assert find_lung_field(gray) == find_lung_field(1000 * gray**3 - 7)


def test_landmarks_go_where_they_belong_and_order_stays():
    gray = chest() + 0.01 * np.random.default_rng(0).standard_normal((128, 128))
    field = find_lung_field(gray)
    p = levels_to_p(gray, lung_field_levels(gray, field))
    assert lung_field_levels(p, field) == pytest.approx(STANDARD_P, rel=0.01)
    order = np.argsort(gray.ravel())
    assert (np.diff(p.ravel()[order]) >= 0).all()
    assert (p >= 0).all()
    assert list(LEVELS) == sorted(LEVELS)


def test_normalised_twice_is_normalised_once():
    once, _ = normalise_radiograph(chest(0.46, 0.7, 256), 128)
    again = find_lung_field(once)
    assert again.width == pytest.approx(STANDARD_WIDTH, rel=0.12)
    assert again.centre == pytest.approx(STANDARD_CENTRE, abs=0.03)
    assert again.top == pytest.approx(STANDARD_TOP, abs=0.05)


def test_the_frame_keeps_proportions_and_labels():
    mask = np.zeros((128, 128))
    mask[40:80, 50:90] = 3
    framed = standard_frame(mask, find_lung_field(chest()), 128, nearest=True)
    rows, columns = np.flatnonzero(framed.any(1)), np.flatnonzero(framed.any(0))
    assert len(rows) == pytest.approx(len(columns), abs=1)
    assert set(np.unique(framed)) == {0, 3}


def test_refusals():
    for bad in (np.zeros((128, 128)), np.zeros((64, 128)), chest(n=32)):
        with pytest.raises(InputError, match="lung field"):
            find_lung_field(bad)
    with pytest.raises(InputError, match="do not rise"):
        levels_to_p(chest(), (0.2, 0.2, 0.9))


def test_real_lungs_are_found(real_data):
    """Against the given masks: midline and width of every twentieth radiograph; the finder is narrow by a sixth."""
    rows = list(csv.DictReader((real_data / "cxr_ctr" / "labels.csv").open()))[::20]
    off, ratio = [], []
    for row in rows:
        path = real_data / "cxr_ctr" / row["dataset"] / f"{row['id']}.png"
        field = find_lung_field(read_radiograph(path, 128).gray)
        mask = np.asarray(Image.open(path.with_name(f"{row['id']}_mask.png")))
        columns = np.flatnonzero(np.isin(mask, (1, 2)).any(0)) / len(mask)
        off.append(field.centre - (columns[0] + columns[-1]) / 2)
        ratio.append(field.width / (columns[-1] - columns[0]))
    assert np.mean(np.abs(off)) < 0.025
    assert np.mean(ratio) == pytest.approx(0.83, abs=0.04)
    assert np.std(ratio) < 0.1
