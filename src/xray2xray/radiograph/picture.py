"""A radiograph from PNG, JPEG, TIFF, WebP, BMP or JPEG 2000, and what all pictures share: grey, hidden, square."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..core.errors import InputError, silent_libraries
from ..core.limits import MAX_PIXELS, check_size

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "JPEG2000")
MIN_PIXELS = 64
COLOUR_MEAN = 0.02  # mean spread of the channels: JPEG's rounding stays below 0.01
COLOUR_FRACTION = 0.05  # part of the picture that may be tinted by more than 0.12: a coloured mark or arrow
MAX_STRETCH = 4.0  # pixels that are longer than that are a mistake in the file
LONGEST = 1.5  # sides of one film; two films of 35 x 43 cm beside each other have 1.6
MARGIN = 0.03  # of the range of grey values: what varies less along a row or column is no part of a film
_OTHER_FILES = {
    b"%PDF": "a PDF", b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive", b"GIF8": "a GIF",
    b"<": "a web page", b"version https://git-lfs": "a pointer of Git LFS and not the picture itself",
}  # fmt: skip
_TIFF_PHOTOMETRIC, _TIFF_SUBFILE, _EXIF_ORIENTATION = 262, 254, 274


@dataclass(frozen=True, eq=False)
class Picture:
    """Grey values (h, w) of square pixels, upright.

    `hidden`: (h, w), what is no part of the picture: transparent, padding, behind a shutter. `sure`: the file says
    whether dense is bright, and it is. `notes`: what was changed or guessed.
    """

    gray: np.ndarray
    hidden: np.ndarray | None = None
    sure: bool = False
    notes: tuple[str, ...] = ()


def read_picture(path: Path) -> Picture:
    """Grey values as the file shows them: EXIF turns, CMYK, palettes and tables of colours are followed.

    Raises:
        InputError: no such picture, damaged, in colour, several pages, far too many pixels.
    """
    notes: list[str] = []
    try:
        with silent_libraries(), _silent_libtiff(path), Image.open(path, formats=FORMATS) as opened:
            check_size(opened.width * opened.height, MAX_PIXELS, "pixels", path, "make it smaller")
            _check_pages(opened, path)
            stretch = _stretch(opened)
            gray, hidden = _gray(ImageOps.exif_transpose(opened), path, notes)
            if _white_is_zero(opened):
                gray = gray.max() - gray
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image{_instead(path)}; give a PNG, JPEG, TIFF or DICOM radiograph") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: far too many pixels for a radiograph; make it smaller") from error
    except Exception as error:  # Pillow raises nearly every type: of PNG chunks, cut JPEG data, odd TIFF tags
        raise InputError(f"{path}: the image is damaged or cut short; copy it again") from error
    if not np.isfinite(gray).all():
        raise InputError(f"{path}: values that are no numbers (NaN or infinite); export it again")
    return Picture(*square_pixels(gray, hidden, stretch, notes), notes=tuple(notes))


@contextmanager
def _silent_libtiff(path: Path) -> Iterator[None]:
    """libtiff writes what it finds wrong with a file to the process's stderr, past Python; Pillow raises it as well."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        yield
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def gray_of_colour(rgb: np.ndarray, where: str | Path) -> np.ndarray:
    """(h, w): the grey of (h, w, 3) in 0..1 whose channels are equal but for rounding and small marks.

    Raises:
        InputError: real colour.
    """
    spread = rgb.max(-1) - rgb.min(-1)
    if spread.mean() > COLOUR_MEAN or (spread > 0.12).mean() > COLOUR_FRACTION:
        raise InputError(f"{where}: the image has real colour; give a grey radiograph, not a photograph or a heat map")
    return rgb.mean(-1)


def square_pixels(
    gray: np.ndarray, hidden: np.ndarray | None, stretch: float, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Resampled so that pixels are square; `stretch` is the height of a pixel over its width."""
    if abs(stretch - 1) < 0.01:
        return gray, hidden
    if not 1 / MAX_STRETCH <= stretch <= MAX_STRETCH:
        notes.append(f"pixels {stretch:.3g} times as high as wide: not believed, taken for square")
        return gray, hidden
    rows, columns = gray.shape
    size = (columns, round(rows * stretch)) if stretch > 1 else (round(columns / stretch), rows)
    notes.append(f"pixels are {stretch:.3g} times as high as wide: made square")
    return _resized(gray, size), None if hidden is None else _resized(hidden, size) > 0.5


def middle_square(pixels: np.ndarray, where: str, notes: list[str]) -> tuple[slice, slice]:
    """The middle square of (h, w), as rows and columns; what that leaves out is noted.

    Margins of one grey value are no film: without them two films beside each other are longer than one, and a film in
    a wide screen shot is not.

    Raises:
        InputError: too small, or so long that it is more than one film.
    """
    rows, columns = (slice(0, length) for length in pixels.shape)
    film = _within_margins(pixels)
    if _length(film) > LONGEST:
        raise InputError(
            f"{where}: {pixels.shape[1]} x {pixels.shape[0]} pixels: two films side by side, or more than the film? "
            f"cut out the frontal, at most {LONGEST:g} times as long as wide"
        )
    if _length((rows, columns)) > LONGEST:
        rows, columns = film
        notes.append("margins of one grey value were cut off")
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    side, length = sorted((high, wide))
    if length > 1.02 * side:
        which = "height" if high > wide else "width"
        notes.append(f"cropped to the middle square: {100 * (1 - side / length):.0f} % of the {which} was left out")
    top, left = rows.start + (high - side) // 2, columns.start + (wide - side) // 2
    return slice(top, top + side), slice(left, left + side)


def _within_margins(pixels: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns between the first and the last that hold more than one grey value."""
    least = MARGIN * float(np.ptp(pixels))
    rows, columns = (
        slice(int(kept[0]), int(kept[-1]) + 1) if len(kept) else slice(0, length)
        for length, kept in zip(pixels.shape, (np.flatnonzero(np.ptp(pixels, axis=i) > least) for i in (1, 0)))
    )
    return rows, columns


def _length(part: tuple[slice, slice]) -> float:
    """The longer side over the shorter one."""
    short, long = sorted(one.stop - one.start for one in part)
    return long / short


def resized_square(pixels: np.ndarray, size: int) -> np.ndarray:
    """float32 (size, size) of a square: area averages, or bicubic where it is enlarged."""
    how = Image.Resampling.BOX if pixels.shape[0] >= size else Image.Resampling.BICUBIC
    return _resized(pixels, (size, size), how)


def _resized(pixels: np.ndarray, size: tuple[int, int], how: Any = Image.Resampling.BILINEAR) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    return np.asarray(image.resize(size, how), dtype=np.float32)


def _gray(image: Image.Image, path: Path, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """float32 (h, w), and where it is transparent."""
    if "transparency" in image.info and image.mode in ("L", "RGB", "P", "1"):
        image = image.convert("RGBA")
    if image.mode in ("La", "RGBa", "PA"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    hidden = None
    if image.mode in ("LA", "RGBA"):
        alpha = np.asarray(image.getchannel("A"))
        hidden = alpha < alpha.max() / 2  # a constant alpha hides nothing
        if hidden.any():
            notes.append(f"{100 * hidden.mean():.0f} % is transparent: shown as air")
    if image.mode == "1":
        notes.append("each pixel is black or white: the greys are those of a print")
    if image.mode in ("L", "LA", "I", "F", "1") or image.mode.startswith("I;16"):
        gray = image.getchannel(0) if image.mode == "LA" else image
        return np.asarray(gray, dtype=np.float32), hidden
    if image.mode == "LAB":
        image = image.getchannel(0)
    return gray_of_colour(np.asarray(image.convert("RGB"), dtype=np.float32) / 255, path).astype(np.float32), hidden


def _check_pages(opened: Any, path: Path) -> None:
    """Refuse several pages; thumbnails and reduced copies of the first are none."""
    if opened.format not in ("TIFF", "WEBP", "PNG") or getattr(opened, "n_frames", 1) == 1:
        return
    pages = 1
    for page in range(1, opened.n_frames):
        opened.seek(page)
        reduced = opened.format == "TIFF" and int(opened.tag_v2.get(_TIFF_SUBFILE, 0)) & 1
        pages += not reduced
    opened.seek(0)
    if pages > 1:
        raise InputError(f"{path}: holds {pages} pages; give one radiograph a file")


def _stretch(opened: Any) -> float:
    """Height of a pixel over its width, by the resolution in the file."""
    if opened.format == "PNG" and "aspect" in opened.info:
        across, down = opened.info["aspect"]
    elif opened.format == "JPEG" and opened.info.get("jfif_unit") == 0:
        across, down = opened.info.get("jfif_density", (1, 1))
    else:
        across, down = opened.info.get("dpi", (1, 1))
    turned = opened.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    across, down = (float(down), float(across)) if turned else (float(across), float(down))
    return across / down if across > 0 and down > 0 else 1.0


def _white_is_zero(opened: Any) -> bool:
    """A TIFF of more than 8 bits whose zero is white; Pillow turns those of 8 bits itself."""
    return opened.format == "TIFF" and opened.tag_v2.get(_TIFF_PHOTOMETRIC) == 0 and opened.mode[0] in "IF"


def _instead(path: Path) -> str:
    with path.open("rb") as stream:
        head = stream.read(64)
    if head[4:12] in (b"ftypheic", b"ftypheif", b"ftypmif1", b"ftypavif"):
        return " that can be read (HEIC or AVIF, as telephones write)"
    named = [kind for start, kind in _OTHER_FILES.items() if head.lstrip().startswith(start)]
    return f" but {named[0]}" if named else " (an empty file)" if not head else ""
