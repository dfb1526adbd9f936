"""Where the lungs are on a frontal, and that place and its grey values brought to where the networks know them.

A PNG says neither how large the film was nor what its grey values mean. The lungs are on every chest radiograph: their
width tells the scale, and quantiles of what lies around them are landmarks of the grey values (Nyul & Udupa, MRM 42
(1999) 1072). Both are put where the same finder has them on simulated frontals. Everything else follows by one
similarity of the plane and one monotone, piecewise linear curve, so no structure is moved against another and no
order is changed. The lungs' absolute size is lost, as it was not known; the cardiothoracic ratio is not.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.signal import fftconvolve
from scipy.stats import rankdata

from ..core.errors import InputError

LEVELS = (0.1, 0.5, 0.9)  # quantiles of the lung field: lungs, their borders, mediastinum and diaphragm

# Medians of 500 rendered frontals of procedural patients (seeds from 0, preset `chest`): where this finder has their
# lung fields, and the line integrals at `LEVELS` inside.
STANDARD_WIDTH, STANDARD_CENTRE, STANDARD_TOP = 0.52, 0.51, 0.21
STANDARD_P = (2.2, 2.9, 4.6)

_SIDE = 64  # the search needs no more detail than this
_WIDTHS, _ASPECTS = np.arange(0.40, 0.80, 0.04), (0.75, 0.9, 1.05)
_MARGIN = 1.25  # of the lungs' box: what is around them counts, too
_EDGE = 0.025  # of the side: where films end there is often a white strip
_ZOOM = (0.5, 1.6)  # a field that asks for more was not found
_UNLIKE = 0.35  # likeness; none of JSRT, 2 % of Wingspan, 11 % of ChestX-ray14 lie below


@dataclass(frozen=True)
class LungField:
    """A box around both lungs, as shares of the picture's side: `centre` (column), `top` (row), `width`, `height`.

    `likeness` is the correlation (-1 to 1) with dark lungs in dense surroundings. Half of all radiographs reach 0.6; a
    low one is a warning, but smooth noise reaches 0.45, so a high one proves nothing.
    """

    centre: float
    top: float
    width: float
    height: float
    likeness: float

    @property
    def certain(self) -> bool:
        """Whether it looks like lungs at all."""
        return self.likeness >= _UNLIKE


def find_lung_field(gray: np.ndarray) -> LungField:
    """The place where two dark lungs beside a dense midline fit best, by normalised correlation over place and size.

    The ranks of the grey values are compared, so the result is the same for every monotone curve of them.
    The width and the midline are found well, the lower edge is not (numbers: docs/results/adaptation.md).

    Args:
        gray: (n, n), n at least 64, dense = bright, any scale.

    Raises:
        InputError: not square, too small or constant.
    """
    gray = np.asarray(gray, np.float32)
    if gray.ndim != 2 or gray.shape[0] != gray.shape[1] or gray.shape[0] < _SIDE or not np.ptp(gray) > 0:
        raise InputError(
            f"a lung field is looked for in one square picture of at least {_SIDE} pixels, got {gray.shape}"
        )
    ranks = (rankdata(gray) / gray.size - 0.5).astype(np.float32).reshape(gray.shape)
    ranks = np.asarray(Image.fromarray(ranks).resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    ranks = gaussian_filter(ranks, 0.8)
    best = LungField(0.5, 0.2, 0.6, 0.6, -1.0)
    for width, height, template in _templates():
        likeness = _correlation(ranks, template)
        row, column = np.unravel_index(int(likeness.argmax()), likeness.shape)
        if likeness[row, column] > best.likeness:
            top = (row + 0.5 - height / 2) / _SIDE
            best = LungField(
                float(column + 0.5) / _SIDE, float(top), width / _SIDE, height / _SIDE, float(likeness[row, column])
            )
    return best


def lung_field_levels(gray: np.ndarray, field: LungField) -> tuple[float, float, float]:
    """The grey values at `LEVELS` inside the field."""
    n = gray.shape[0]
    rows = slice(max(0, round(field.top * n)), round((field.top + field.height) * n))
    left = field.centre - field.width / 2
    inside = gray[rows, max(0, round(left * n)) : round((left + field.width) * n)]
    low, middle, high = (float(level) for level in np.quantile(inside, LEVELS))
    return low, middle, high


def levels_to_p(gray: np.ndarray, levels: tuple[float, float, float]) -> np.ndarray:
    """Grey values to line integrals p, float32, by the piecewise linear curve that takes `levels` to `STANDARD_P`.

    Outside the outer levels the curve goes on with the slopes there; p is never negative.

    Raises:
        InputError: the levels do not rise.
    """
    x, y = np.array(levels, np.float64), np.array(STANDARD_P)
    if not (np.diff(x) > 0).all():
        raise InputError(f"the lung field's grey values do not rise ({levels}); the picture is hardly a radiograph")
    slopes = np.diff(y) / np.diff(x)
    gray = np.asarray(gray, np.float64)
    below, above = np.minimum(gray - x[0], 0) * slopes[0], np.maximum(gray - x[-1], 0) * slopes[-1]
    return np.maximum(np.interp(gray, x, y) + below + above, 0).astype(np.float32)


def standard_frame(image: np.ndarray, field: LungField, size: int, nearest: bool = False) -> np.ndarray:
    """The picture (n, n) shifted and scaled until the lung field is at its standard place; float32 (size, size).

    Beyond the picture's edge there is nothing: 0, in line integrals the air that surrounds a simulated scan's end.

    Args:
        nearest: for label maps: each pixel takes one value of the picture, none is mixed.
    """
    n = image.shape[0]
    side = n * float(np.clip(field.width / STANDARD_WIDTH, *_ZOOM))  # of the square that becomes the whole frame
    left, top = field.centre * n - STANDARD_CENTRE * side, field.top * n - STANDARD_TOP * side
    pad = max(0, int(np.ceil(max(-left, -top, left + side - n, top + side - n))))
    padded = np.pad(np.asarray(image, np.float32), pad)
    box = (left + pad, top + pad, left + pad + side, top + pad + side)
    how = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR  # PIL's averages where it reduces
    return np.asarray(Image.fromarray(padded).resize((size, size), how, box=box), np.float32)


def normalise_radiograph(gray: np.ndarray, size: int) -> tuple[np.ndarray, LungField]:
    """A radiograph on the networks' frame and scale: line integrals p, float32 (size, size), and where its lungs were.

    Raises:
        InputError: as `find_lung_field` and `levels_to_p`.
    """
    field = find_lung_field(gray)
    view_p = levels_to_p(gray, lung_field_levels(gray, field))
    edge = max(1, round(_EDGE * len(view_p)))
    inside = np.pad(view_p[edge:-edge, edge:-edge], edge)  # with air
    return standard_frame(inside, field, size), field


@cache
def _templates() -> list[tuple[int, int, np.ndarray]]:
    """Width and height of the lungs in pixels, and the template about them, of mean 0 and norm 1."""
    made = []
    for width in _WIDTHS * _SIDE:
        for height in (width * aspect for aspect in _ASPECTS):
            if height * _MARGIN > 0.95 * _SIDE:
                continue
            rows, columns = (int(length * _MARGIN) | 1 for length in (height, width))
            v = (np.arange(rows) - rows // 2)[:, None] / (height / 2)
            u = (np.arange(columns) - columns // 2)[None] / (width / 2)
            lungs = np.abs((np.abs(u) - 0.565) / 0.435) ** 2.5 + np.abs(v) ** 2.5 < 1  # 13 % of the width is midline
            template = -gaussian_filter(lungs.astype(np.float64), 1.0)
            template -= template.mean()
            made.append((round(width), round(height), template / np.linalg.norm(template)))
    return made


def _correlation(ranks: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Normalised correlation with the template about every pixel; -1 where it would hang out of the picture."""
    rows, columns = template.shape
    product = fftconvolve(ranks, template[::-1, ::-1], mode="same")
    mean, square = (uniform_filter(x, template.shape, mode="nearest") for x in (ranks, ranks**2))
    found = product / np.sqrt(np.maximum(square - mean**2, 1e-6) * template.size)
    inside = np.full_like(found, -1.0)
    place = slice(rows // 2, _SIDE - rows // 2), slice(columns // 2, _SIDE - columns // 2)
    inside[place] = found[place]
    return inside
