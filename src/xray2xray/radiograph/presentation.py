"""The stored values of a DICOM radiograph to grey values for display: DICOM PS3.3 C.11, one step after another.

pydicom decodes pixels and applies windows. Bits are masked and tables looked up here: pydicom 3.0 leaves HighBit out,
indexes with the number type of the table's entries, so that 12-bit values wrap around in a table of 8 bits, and turns a
window round where the rescale slope is negative. A tag that cannot be used is left out with a note: the pixels are
whole, and worth more than nothing.
"""

import math
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut, apply_windowing

INSIDE = 0.02  # of the pixels; a window or table that tells fewer from black and white was not meant for this picture
SAME_TISSUE = 1 / 8  # of the range of stored values: neighbours differ by less


def stored_bits(pixels: np.ndarray, hidden: np.ndarray, image: Any, notes: list[str]) -> np.ndarray:
    """int64 (h, w): the BitsStored that end at HighBit; the rest may be an overlay's (PS3.5 8.1.1).

    Some writers give too few bits. Masking then folds the picture: where a bit above changes between neighbours, what
    is left jumps. An overlay's bit changes over the same tissue.
    """
    allocated, stored = int(image.BitsAllocated), int(image.BitsStored)
    shift = int(image.HighBit) + 1 - stored
    whole = pixels.astype(np.int64)
    if not 0 < stored <= allocated or not 0 <= shift <= allocated - stored:
        notes.append(f"BitsStored {stored}, HighBit {image.HighBit} and BitsAllocated {allocated} do not fit: ignored")
        return whole
    masked = (whole >> shift) & (2**stored - 1)
    above = (whole >> shift) - masked
    if int(image.PixelRepresentation):
        masked = np.where(masked >= 2 ** (stored - 1), masked - 2**stored, masked)
    if not shift and np.array_equal(masked, whole):
        return whole
    changes = (np.diff(above, axis=1) != 0) & ~hidden[:, 1:] & ~hidden[:, :-1]
    if changes.any() and np.median(np.abs(np.diff(masked, axis=1))[changes]) > 2**stored * SAME_TISSUE:
        notes.append(f"values need more than the {stored} bits of BitsStored: read with all {allocated}")
        return whole
    if above[~hidden].any():
        notes.append(f"bits above the {stored} of BitsStored were left out, as an overlay's are")
    return masked


def presented(stored: np.ndarray, image: Any, notes: list[str]) -> tuple[np.ndarray, bool]:
    """float64 (h, w) for display by modality and VOI look-up and polarity, and whether the tags agree what is white."""
    return _polarity(_voi(_modality(stored, image, notes), image, notes), image, notes)


def palette(stored: np.ndarray, image: Any) -> np.ndarray:
    """float64 (h, w, 3): the colours that indices stand for (PS3.3 C.7.6.3.1.5).

    Raises:
        ValueError, AttributeError: the tables are missing or damaged.
    """
    if "SegmentedRedPaletteColorLookupTableData" in image:
        return apply_color_lut(stored, image)[..., :3].astype(np.float64)
    names = [f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")]
    return np.stack(
        [_look_up(stored, image[f"{name}Descriptor"].value, image[f"{name}Data"].value, image) for name in names], -1
    )


def numbers(image: Any, tag: str, notes: list[str]) -> list[float]:
    """The finite numbers of a decimal string, a comma read as a point; empty where there are none, with a note."""
    try:
        value = image.get(tag)
    except Exception:  # pydicom converts when a tag is first read, and fails in many ways
        value = image.get_item(tag).value
    if isinstance(value, bytes):
        said = value.decode("ascii", "replace")
    else:
        said = "" if value is None else "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    parts = [part.strip(" \0") for part in said.split("\\") if part.strip(" \0")]
    try:
        found = [float(part.replace(",", ".")) for part in parts]
    except ValueError:
        found = [math.nan]
    if not all(map(math.isfinite, found)):
        notes.append(f"{tag} {said!r} is no number: ignored")
        return []
    if "," in said:
        notes.append(f"{tag} {said!r} has a decimal comma: read as a point")
    return found


def _modality(stored: np.ndarray, image: Any, notes: list[str]) -> np.ndarray:
    """C.11.1: a table, or slope and intercept."""
    if image.get("ModalityLUTSequence"):
        shown = _table(stored, image.ModalityLUTSequence[0], image, "ModalityLUTSequence", notes)
        if shown is not None:
            return shown
    slope, intercept = (numbers(image, tag, notes) for tag in ("RescaleSlope", "RescaleIntercept"))
    if slope and slope[0] == 0:
        notes.append("RescaleSlope 0 would leave one grey value: ignored")
        return stored
    return stored * (slope[0] if slope else 1.0) + (intercept[0] if intercept else 0.0)


def _voi(values: np.ndarray, image: Any, notes: list[str]) -> np.ndarray:
    """C.11.2: the first table that can be used, else the first window, else all values as they are."""
    for item in image.get("VOILUTSequence") or []:
        shown = _table(values, item, image, "VOILUTSequence", notes)
        if shown is not None:
            return shown
    centres, widths = (numbers(image, tag, notes) for tag in ("WindowCenter", "WindowWidth"))
    if bool(centres) != bool(widths):
        notes.append("WindowCenter and WindowWidth are not both there: ignored")
    function = str(image.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        notes.append(f"VOILUTFunction {function} is unknown: taken for LINEAR")
        function = "LINEAR"
    for centre, width in zip(centres, widths, strict=False):
        window = Dataset()  # of these numbers alone: the values are rescaled already
        window.WindowCenter, window.WindowWidth, window.VOILUTFunction = centre, width, function
        window.PhotometricInterpretation, window.BitsStored, window.PixelRepresentation = "MONOCHROME2", 16, 0
        try:
            with np.errstate(over="ignore"):
                shown = apply_windowing(values, window)
        except ValueError:
            notes.append(f"WindowWidth {width:g} is no width of a {function} window: the window is ignored")
            continue
        if _tells(shown, values):
            return shown
        notes.append(f"the window {centre:g} / {width:g} lies beside the grey values: ignored")
    return values


def _polarity(values: np.ndarray, image: Any, notes: list[str]) -> tuple[np.ndarray, bool]:
    """C.7.6.3.1.2, C.11.4: PresentationLUTShape INVERSE is what MONOCHROME1 says already, and the same inversion."""
    shape = str(image.get("PresentationLUTShape") or "").strip().upper()
    inverse = image.PhotometricInterpretation == "MONOCHROME1"
    agree = shape in ("", "INVERSE" if inverse else "IDENTITY")
    if not agree:
        notes.append(f"PresentationLUTShape {shape} contradicts {image.PhotometricInterpretation}: dense made bright")
    if inverse and agree:
        notes.append("MONOCHROME1: inverted, as its header asks")
    return values.max() - values if inverse else values, agree


def _table(values: np.ndarray, item: Any, image: Any, tag: str, notes: list[str]) -> np.ndarray | None:
    """What the table in `item` makes of the values; None, with a note, where it cannot be used."""
    try:
        shown = _look_up(values, item["LUTDescriptor"].value, item["LUTData"].value, image)
    except (KeyError, TypeError, ValueError) as error:
        notes.append(f"{tag} cannot be used ({error}): ignored")
        return None
    if _tells(shown, values):
        return shown
    notes.append(f"{tag} makes nearly all grey values equal: ignored")
    return None


def _look_up(values: np.ndarray, descriptor: Any, data: Any, image: Any) -> np.ndarray:
    """float64: entries of a table, whose ends stand for all that lies outside (C.11.1.1.1).

    Raises:
        ValueError: the table has fewer entries than its descriptor says.
    """
    entries, first, bits = (int(number) for number in descriptor)
    entries = entries or 65536
    if isinstance(data, bytes):
        bytewise = len(data) < 2 * entries and (bits <= 8 or len(data) >= entries)
        little = image.file_meta.TransferSyntaxUID.is_little_endian if hasattr(image, "file_meta") else True
        data = np.frombuffer(data, "u1" if bytewise else "<u2" if little else ">u2")
    table = np.atleast_1d(np.asarray(data, np.float64))
    if len(table) < entries:
        raise ValueError(f"{len(table)} of {entries} entries are there")
    return table[np.clip(np.rint(values).astype(np.int64) - first, 0, entries - 1)]


def _tells(shown: np.ndarray, values: np.ndarray) -> bool:
    """Whether more than a few pixels are neither at the dark nor at the bright end; true of a picture of two values."""
    span = float(np.ptp(shown))
    if not span > 0:
        return False
    low, high = float(values.min()), float(values.max())
    before = float(((values > low) & (values < high)).mean())
    between = (shown > shown.min() + 1e-6 * span) & (shown < shown.max() - 1e-6 * span)
    return float(between.mean()) >= INSIDE * before
