"""What a DICOM radiograph does not show: padding (PS3.3 C.7.5.1.1.2) and display shutters (C.7.6.11).

Both are background whatever their pixels hold. Padding counts only where it reaches the picture's edge: the same value
inside the chest is a measurement.
"""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import label

from .presentation import numbers

MOST = 0.9  # of the picture; a shutter that hides more is a mistake


def hidden_pixels(decoded: np.ndarray, image: Any, notes: list[str]) -> np.ndarray:
    """bool (h, w): padding or behind a shutter; of all bits, as some writers pad with a value beyond BitsStored."""
    padding = _padding(decoded, image)
    if padding.any():
        notes.append(f"PixelPaddingValue {image.PixelPaddingValue}: {100 * padding.mean():.0f} % shown as air")
    shutter = _shutter(image, decoded.shape, notes)
    return padding | shutter


def _padding(values: np.ndarray, image: Any) -> np.ndarray:
    first, last = image.get("PixelPaddingValue"), image.get("PixelPaddingRangeLimit")
    if not isinstance(first, int):
        return np.zeros(values.shape, bool)
    low, high = sorted((first, last if isinstance(last, int) else first))
    # written as signed for unsigned pixels, and the other way round, the number differs by all bits
    wrap = 2 ** int(image.BitsAllocated)
    inside = np.zeros(values.shape, bool)
    for shift in (-wrap, 0, wrap):
        inside |= (values >= low + shift) & (values <= high + shift)
    parts, _ = label(inside)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    return inside & np.isin(parts, edge[edge > 0])


def _shutter(image: Any, shape: tuple[int, ...], notes: list[str]) -> np.ndarray:
    """True outside every shape that ShutterShape names; rows and columns count from 1."""
    open_part = np.ones(shape, bool)
    value = image.get("ShutterShape") or []
    shapes = [value] if isinstance(value, str) else list(value)
    row, column = np.ogrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    unused: list[str] = []
    for name in (str(one).strip().upper() for one in shapes):
        if name == "RECTANGULAR":
            left, right, top, bottom = (
                numbers(image, f"Shutter{edge}Edge", unused)
                for edge in ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
            )
            if left and right and top and bottom:
                open_part &= (column >= left[0]) & (column <= right[0]) & (row >= top[0]) & (row <= bottom[0])
        elif name == "CIRCULAR":
            centre, radius = (
                numbers(image, "CenterOfCircularShutter", unused),
                numbers(image, "RadiusOfCircularShutter", unused),
            )
            if len(centre) == 2 and radius:
                open_part &= (row - centre[0]) ** 2 + (column - centre[1]) ** 2 <= radius[0] ** 2
        elif name == "POLYGONAL":
            vertices = numbers(image, "VerticesOfThePolygonalShutter", unused)
            if len(vertices) >= 6 and len(vertices) % 2 == 0:
                mask = Image.new("1", (shape[1], shape[0]))
                corners = [(x - 1, y - 1) for y, x in zip(vertices[::2], vertices[1::2], strict=True)]
                ImageDraw.Draw(mask).polygon(corners, fill=1, outline=1)
                open_part &= np.asarray(mask)
    if open_part.mean() < 1 - MOST:
        notes.append(f"ShutterShape {'/'.join(shapes)} would hide nearly the whole picture: ignored")
        return np.zeros(shape, bool)
    if not open_part.all():
        notes.append(f"ShutterShape {'/'.join(shapes)}: {100 * (~open_part).mean():.0f} % shown as air")
    return ~open_part
