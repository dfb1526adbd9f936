"""Stored values of one image to HU: bits, padding, modality LUT, rescale; DICOM PS3.3 C.7.6.3, C.7.5.1.1.2, C.11.1."""

from functools import partial
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_modality_lut
from scipy import ndimage

from ...core.errors import InputError
from ...io.dicom import pixel_array
from ..plausible import MAX_HU
from .decode import decode
from .images import numbers, text, texts, value

AIR_HU = -1024.0  # what a pixel that was not measured is taken for
LOWEST_TISSUE_HU = -900.0  # padding that reads as more than this could be tissue: only what touches the border is none
OVERLAY_SHARE = (
    0.05  # of the pixels may have bits above BitsStored: overlays are lines; more are values that do not fit
)


def hounsfield(image: Any, frame: int | None, matrix: tuple[int, int], where: str) -> np.ndarray:
    """float32 (rows, columns) HU.

    Args:
        image: the whole data set.
        frame: which one of a multi-frame image.
        matrix: rows, columns that are expected.
        where: the file, for messages.

    Raises:
        InputError: pixels that cannot be decoded, do not fit their header, or have no way to HU.
    """
    slope, intercept = _rescale(image, frame, where)
    stored = _stored(image, frame, where)
    if stored.shape != matrix:
        raise InputError(f"{where} holds pixels of shape {stored.shape}, not {matrix}; export it again")
    values, padding = _masked(stored, image, where), _padding(stored, image)
    if slope is None:
        hu = _looked_up(values, image, where)
    else:
        hu = np.multiply(values, np.float32(slope), dtype=np.float32)
        hu += np.float32(intercept)
    if padding is not None and padding.any():
        if LOWEST_TISSUE_HU < hu[padding].max() < MAX_HU and not _impossible(stored, padding, image):
            padding = _touching_border(padding)
        hu[padding] = AIR_HU
    return hu


def _stored(image: Any, frame: int | None, where: str) -> np.ndarray:
    allocated = text(image, "BitsAllocated")
    if allocated not in ("8", "16", "32", "64"):
        raise InputError(f"{where}: BitsAllocated is {allocated or 'missing'}; export it with 16 bits, not packed")
    if "TransferSyntaxUID" not in image.file_meta:  # a bare data set: written as it was read
        implicit, little = image.original_encoding
        image.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian
            if implicit
            else pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian
        )  # fmt: skip
    # as it is in the file: padding may lie above BitsStored, and what else lies there is looked at below
    stored = decode(partial(pixel_array, image, where, index=frame, correct_unused_bits=False), where, image)
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _rescale(image: Any, frame: int | None, where: str) -> tuple[float | None, float]:
    """Slope and intercept; no slope where there is a modality look-up table instead."""
    found = []
    for tag in ("RescaleSlope", "RescaleIntercept"):
        said = texts(image, tag, frame)
        if not said and "ModalityLUTSequence" in image:
            return None, 0.0
        if len(set(said)) != 1:
            state = "is empty or missing" if not said else f"has {len(said)} values"
            raise InputError(f"{where} has no rescale to Hounsfield units ({tag} {state}); export the original series")
        try:
            found.append(float(said[0].replace(",", ".")))
        except ValueError:
            raise InputError(f"{where}: {tag} is {said[0][:16]!r}, no number; export the original series") from None
    if not np.isfinite(found).all() or found[0] == 0:
        raise InputError(f"{where}: a rescale of {found[0]:g} x + {found[1]:g} gives no HU; export the original series")
    return found[0], found[1]


def _masked(stored: np.ndarray, image: Any, where: str) -> np.ndarray:
    """The values in BitsStored, their sign extended; what lies above HighBit is an overlay (PS3.5 section 8.1.1)."""
    bits = numbers(image, "BitsStored")
    width = 8 * stored.dtype.itemsize
    if stored.dtype.kind not in "iu" or bits is None or not 0 < bits[0] < width:
        return stored
    used = int(bits[0])
    high = numbers(image, "HighBit")
    shift = 0 if high is None else max(0, int(high[0]) + 1 - used)
    signed = text(image, "PixelRepresentation") == "1"
    low, top = (-(2 ** (used - 1)), 2 ** (used - 1)) if signed else (0, 2**used)
    if not shift and stored.min() >= low and stored.max() < top:
        return stored
    up = np.array(width - used - shift, stored.dtype)
    view = stored.view(f"{'i' if signed else 'u'}{stored.dtype.itemsize}")
    values = np.right_shift(np.left_shift(view, up), np.array(width - used, stored.dtype))
    if not shift:
        unlike = stored != values
        padding = _padding(stored, image)
        if padding is not None:
            unlike &= ~padding
        # a sign that was not extended differs too, in every negative pixel
        wide = unlike & ((stored < low) | (stored >= (2**used if signed else top)))
        if wide.mean() > OVERLAY_SHARE:
            raise InputError(f"{where}: values do not fit into BitsStored {used}; export the original series")
    return values


def _padding(stored: np.ndarray, image: Any) -> np.ndarray | None:
    """bool, where a pixel was not measured, by PixelPaddingValue up to PixelPaddingRangeLimit; None without them."""
    first = _whole(value(image, "PixelPaddingValue"))
    if first is None:
        return None
    last = _whole(value(image, "PixelPaddingRangeLimit"))
    width, signed = 8 * stored.dtype.itemsize, stored.dtype.kind == "i"
    ends = [_as_stored(end, width, signed) for end in (first, first if last is None else last)]
    return (stored >= min(ends)) & (stored <= max(ends)) if last is not None else stored == ends[0]


def _whole(found: Any) -> int | None:
    """A number, whatever VR the file gives it."""
    try:
        if isinstance(found, bytes):
            return int.from_bytes(found, "little")
        return int(found)
    except (TypeError, ValueError):
        return None


def _as_stored(number: int, width: int, signed: bool) -> int:
    """A number that was written with the other signedness, as the pixels have it."""
    number %= 2**width
    return number - 2**width if signed and number >= 2 ** (width - 1) else number


def _impossible(stored: np.ndarray, padding: np.ndarray, image: Any) -> bool:
    """Whether the padding lies outside BitsStored, where no measured value can."""
    bits = numbers(image, "BitsStored")
    if bits is None:
        return False
    signed = text(image, "PixelRepresentation") == "1"
    return bool(stored[padding].max() >= 2 ** (int(bits[0]) - signed))


def _touching_border(mask: np.ndarray) -> np.ndarray:
    parts, _ = ndimage.label(mask)
    border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    return mask & np.isin(parts, np.unique(border[border > 0]))


def _looked_up(values: np.ndarray, image: Any, where: str) -> np.ndarray:
    table = image.ModalityLUTSequence[0] if image.ModalityLUTSequence else pydicom.Dataset()
    units = text(table, "ModalityLUTType").upper()
    if units not in ("", "HU", "US"):
        raise InputError(f"{where}: its modality look-up table gives {units}, not HU; export the original series")
    found = decode(partial(apply_modality_lut, values, image), where)
    # PS3.3 C.11.1.1 has no sign in a table's entries; those in HU are written as two's complement
    return found.astype(np.int16).astype(np.float32) if found.dtype == np.uint16 else found.astype(np.float32)
