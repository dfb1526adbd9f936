"""Pictures that are no upright frontal chest radiograph: drawn, or made of one. (n, n) float32, 0..1."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from ...radiograph.picture import resized_square

Picture = np.ndarray
_SIDE = 128  # of a drawing, before it is reduced


def turned(gray: Picture, mirrored: bool, degrees: int) -> Picture:
    """Mirrored about the vertical axis, then turned anticlockwise by quarters."""
    return np.ascontiguousarray(np.rot90(gray[:, ::-1] if mirrored else gray, degrees // 90))


def strip(gray: Picture, rng: np.random.Generator) -> Picture:
    """A band of the picture, 12 to 30 % of it, on black or stretched to the whole."""
    n = len(gray)
    width = int(rng.uniform(0.12, 0.30) * n)
    first = rng.integers(0, n - width)
    if rng.random() < 0.5:
        made = np.zeros_like(gray)
        made[first : first + width] = gray[first : first + width]
    else:
        band = Image.fromarray(gray[first : first + width].astype(np.float32))
        made = np.asarray(band.resize((n, n), Image.Resampling.BILINEAR))
    return made if rng.random() < 0.5 else np.ascontiguousarray(made.T)


def crop(gray: Picture, rng: np.random.Generator) -> Picture:
    """A quarter to half of the picture's side, anywhere, enlarged."""
    n = len(gray)
    side = int(rng.uniform(0.25, 0.5) * n)
    row, column = rng.integers(0, n - side, 2)
    return resized_square(gray[row : row + side, column : column + side], n)


def abdomen(gray: Picture, rng: np.random.Generator) -> Picture:
    """The lower third to two fifths of a frontal that reaches below the domes: a belly and no lungs to speak of."""
    n = len(gray)
    side = int(rng.uniform(0.30, 0.40) * n)
    middle = int((n - side) / 2 + rng.uniform(-0.08, 0.08) * n)
    return resized_square(gray[n - side :, middle : middle + side], n)


# ---------------------------------------------------------------- drawn


def skull(rng: np.random.Generator, n: int) -> Picture:
    """A skull from the front or the side: a ring of bone, orbits, jaw and neck."""
    made, draw = _paper()
    x, y, w, h = _about(rng, 0.5), _about(rng, 0.42), rng.uniform(0.24, 0.34), rng.uniform(0.28, 0.38)
    _rectangle(draw, x, 0.92, rng.uniform(0.09, 0.13), 0.15, 90)
    _ellipse(draw, x, y, w, h, 190)
    _ellipse(draw, x, y - 0.01, w * 0.92, h * 0.92, int(120 + rng.integers(30)))
    _ellipse(draw, x + rng.uniform(-0.1, 0.1), y + h * 0.75, w * 0.55, h * 0.35, 200)
    for side in (-1, 1):
        _ellipse(draw, x + side * w * 0.42, y + h * 0.28, w * 0.26, h * 0.18, 80)
    _ellipse(draw, x, y + h * 0.55, w * 0.14, h * 0.2, 70)
    return _film(made, rng, n)


def hand(rng: np.random.Generator, n: int) -> Picture:
    """A hand: flesh, metacarpals and phalanges in five rays."""
    made, draw = _paper()
    x, spread, reach = _about(rng, 0.5), rng.uniform(0.5, 1.0), rng.uniform(0.3, 0.42)
    _ellipse(draw, x, 0.62, rng.uniform(0.16, 0.22), 0.2, 70)
    _rectangle(draw, x, 0.9, 0.11, 0.2, 65)
    for side in (-0.05, 0.05):
        _line(draw, (x + side, 1.0), (x + side, 0.8), 8, 190)
    for ray, angle in enumerate(np.linspace(-0.55, 0.55, 5) * spread):
        start = np.array([x + 0.22 * np.sin(angle), 0.62 - 0.1 * np.cos(angle)])
        long = reach * (0.72 if ray in (0, 4) else 1.0)
        end = start + long * np.array([np.sin(angle), -np.cos(angle)])
        _line(draw, (x + 0.08 * np.sin(angle), 0.72), tuple(end), 12, 75)
        cuts = (
            np.array([x + 0.08 * np.sin(angle), 0.72]),
            start,
            start + (end - start) * 0.45,
            start + (end - start) * 0.75,
            end,
        )
        for one, two in pairwise(cuts):
            _line(draw, tuple(one + 0.08 * (two - one)), tuple(two - 0.08 * (two - one)), 5, 200)
    return _film(made, rng, n)


def limb(rng: np.random.Generator, n: int) -> Picture:
    """A knee, a forearm or a thigh: one or two shafts in flesh, thicker at a joint."""
    made, draw = _paper()
    x, lean, bones = _about(rng, 0.5), rng.uniform(-0.12, 0.12), rng.integers(1, 3)
    _line(draw, (x - lean, -0.05), (x + lean, 1.05), int(rng.uniform(0.3, 0.5) * _SIDE), 80)
    joint = rng.uniform(0.35, 0.65)
    for bone in range(bones):
        off = (bone - (bones - 1) / 2) * rng.uniform(0.10, 0.16)
        _line(draw, (x - lean + off, -0.05), (x + lean + off, 1.05), int(rng.uniform(0.06, 0.1) * _SIDE), 200)
        _line(draw, (x - lean + off, -0.05), (x + lean + off, 1.05), int(0.03 * _SIDE), 150)
    if rng.random() < 0.6:
        _ellipse(draw, x, joint - 0.07, 0.14, 0.07, 200)
        _ellipse(draw, x, joint + 0.08, 0.13, 0.06, 200)
    return _film(made, rng, n)


def pelvis(rng: np.random.Generator, n: int) -> Picture:
    """A belly with spine and pelvis, gas in between."""
    made, draw = _paper(60)
    x = _about(rng, 0.5)
    _ellipse(draw, x, 0.45, rng.uniform(0.42, 0.5), 0.75, 130)
    for number, y in enumerate(np.arange(0.0, 0.6, 0.1)):
        _rectangle(draw, x, y, 0.055, 0.04, 195 if number % 2 else 205)
    for side in (-1, 1):
        _ellipse(draw, x + side * 0.22, 0.68, 0.17, 0.16, 190)
        _ellipse(draw, x + side * 0.22, 0.63, 0.12, 0.10, 145)
        _ellipse(draw, x + side * 0.3, 0.92, 0.06, 0.06, 215)
    for _ in range(rng.integers(2, 8)):
        _ellipse(
            draw, rng.uniform(0.2, 0.8), rng.uniform(0.15, 0.7), rng.uniform(0.02, 0.08), rng.uniform(0.02, 0.06), 80
        )
    return _film(made, rng, n)


def text(rng: np.random.Generator, n: int) -> Picture:
    """A photographed page of letters, black on white or white on black."""
    made, draw = _paper(235)
    size = int(rng.uniform(7, 20))
    font, letters = ImageFont.load_default(size=size), "abcdefghiklmnoprstuvw     ABCDEFG0123456789"
    for y in range(int(rng.integers(0, 20)), _SIDE, size + 3):
        if rng.random() < 0.85:
            words = "".join(rng.choice(list(letters), int(rng.integers(4, max(5, 2 * _SIDE // size)))))
            draw.text((float(rng.integers(2, 20)), float(y)), words, fill=int(rng.integers(0, 90)), font=font)
    page = _film(made.rotate(float(rng.uniform(-6, 6)), fillcolor=120), rng, n)
    return page if rng.random() < 0.5 else 1 - page


def noise(rng: np.random.Generator, n: int) -> Picture:
    """White or smooth noise, of any grain."""
    return _scaled(gaussian_filter(rng.standard_normal((n, n)), rng.choice([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])))


def scene(rng: np.random.Generator, n: int) -> Picture:
    """Something photographed: polygons, blobs and gradients of any grey."""
    made, draw = _paper(int(rng.integers(0, 255)))
    for _ in range(rng.integers(2, 14)):
        grey, place = int(rng.integers(0, 255)), rng.uniform(-0.1, 1.1, 2)
        if rng.random() < 0.5:
            _ellipse(draw, float(place[0]), float(place[1]), rng.uniform(0.03, 0.4), rng.uniform(0.03, 0.4), grey)
        else:
            corners = (place + rng.uniform(-0.4, 0.4, (int(rng.integers(3, 7)), 2))) * _SIDE
            draw.polygon([tuple(corner) for corner in corners.tolist()], fill=grey)
    slope = np.add.outer(np.linspace(-1, 1, n) * rng.normal(), np.linspace(-1, 1, n) * rng.normal())
    return _scaled(_film(made, rng, n) + rng.uniform(0, 0.3) * slope)


def mask(rng: np.random.Generator, n: int) -> Picture:
    """A segmentation: two lungs and perhaps a heart, each of one grey value, on another."""
    made, draw = _paper(0 if rng.random() < 0.8 else 255)
    grey, y = int(rng.integers(90, 200)), _about(rng, 0.45)
    for side in (-1, 1):
        x, w, h = 0.5 + side * rng.uniform(0.17, 0.24), rng.uniform(0.1, 0.17), rng.uniform(0.2, 0.36)
        _ellipse(draw, x, y, w, h, grey)
        _rectangle(draw, x, y + h * 0.5, w * 0.95, h * 0.5, grey)
    if rng.random() < 0.5:
        _ellipse(draw, 0.55, y + 0.16, rng.uniform(0.12, 0.2), rng.uniform(0.1, 0.16), int(rng.integers(20, 255)))
    return np.asarray(made.resize((n, n), Image.Resampling.BOX), np.float32) / 255


DRAWN: dict[str, Callable[[np.random.Generator, int], Picture]] = {
    "skull": skull,
    "hand": hand,
    "limb": limb,
    "pelvis": pelvis,
    "text": text,
    "noise": noise,
    "scene": scene,
    "mask": mask,
}


def _paper(grey: int = 0) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    made = Image.new("L", (_SIDE, _SIDE), grey)
    return made, ImageDraw.Draw(made)


def _film(made: Image.Image, rng: np.random.Generator, n: int) -> Picture:
    """As a detector has it: smooth, uneven, noisy."""
    gray = np.asarray(made, np.float32) / 255
    gray = gaussian_filter(gray, rng.uniform(0.5, 2.0)) + _uneven(rng)
    gray += rng.uniform(0, 0.04) * rng.standard_normal(gray.shape)
    return _scaled(resized_square(gray, n))


def _uneven(rng: np.random.Generator) -> np.ndarray:
    """A smooth field of SD about 0.05."""
    coarse = Image.fromarray(0.06 * rng.standard_normal((8, 8)).astype(np.float32))
    return np.asarray(coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))


def _scaled(gray: np.ndarray) -> Picture:
    return ((gray - gray.min()) / max(float(np.ptp(gray)), 1e-6)).astype(np.float32)


def _about(rng: np.random.Generator, middle: float) -> float:
    return float(middle + rng.uniform(-0.08, 0.08))


def _ellipse(draw: ImageDraw.ImageDraw, x: float, y: float, w: float, h: float, grey: int) -> None:
    draw.ellipse([(x - w) * _SIDE, (y - h) * _SIDE, (x + w) * _SIDE, (y + h) * _SIDE], fill=int(grey))


def _rectangle(draw: ImageDraw.ImageDraw, x: float, y: float, w: float, h: float, grey: int) -> None:
    draw.rectangle([(x - w) * _SIDE, (y - h) * _SIDE, (x + w) * _SIDE, (y + h) * _SIDE], fill=int(grey))


def _line(draw: ImageDraw.ImageDraw, start: tuple[float, ...], end: tuple[float, ...], width: int, grey: int) -> None:
    draw.line([tuple(_SIDE * at for at in start), tuple(_SIDE * at for at in end)], fill=int(grey), width=width)
