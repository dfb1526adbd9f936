"""Pictures inside a page: grey PNG as data URIs; many of one size as one sprite sheet."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..evaluation.metrics import P_MAX, Array


def grey_of_p(p: Array) -> NDArray[np.uint8]:
    return np.rint(np.clip(np.asarray(p, np.float32) / P_MAX, 0, 1) * 255).astype(np.uint8)


def volume_uri(planes: NDArray[np.uint8]) -> str:
    """(nx, ny, nz) -> axial tiles, one below the other in z, rows along y, columns along x."""
    return sprite_uri(np.ascontiguousarray(planes.transpose(2, 1, 0)))


def sprite_uri(pictures: NDArray[np.uint8]) -> str:
    """Grey pictures (n, h, w) as one near-square PNG sheet, row by row."""
    count, height, width = pictures.shape
    columns = int(np.ceil(np.sqrt(count)))
    lines = -(-count // columns)
    sheet = np.zeros((lines * columns, height, width), np.uint8)
    sheet[:count] = pictures
    tiled = sheet.reshape(lines, columns, height, width).transpose(0, 2, 1, 3).reshape(lines * height, columns * width)
    return png_uri(tiled)


def png_uri(gray: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(gray)).save(buffer, format="PNG", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
