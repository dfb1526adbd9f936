"""A real chest radiograph, from PNG, JPEG or DICOM, to one square grey image."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, convert_color_space

from ..core.errors import InputError, reading
from ..core.limits import MAX_PIXELS, check_size
from ..io.dicom import dcmread, pixel_array
from ..volume.dicom import decode
from .polarity import looks_inverted

MIN_PIXELS = 64
COLOUR_MEAN = 0.02  # mean spread of the channels: JPEG's rounding stays below 0.01
COLOUR_FRACTION = 0.05  # part of the picture that may be tinted by more than 0.12: a coloured mark or arrow
# projection radiographs; OT and SC are scans of film and screen captures of them
_MODALITIES = ("CR", "DX", "DR", "RG", "RF", "OT", "SC")
LATERAL = ("LL", "RL", "LATERAL", "LAT")  # ViewPosition of a lateral, as it is found in the wild


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One frontal radiograph as a radiologist hangs it: the patient's right on the left, head up, dense = bright.

    Attributes:
        gray: float32 (size, size) in 0..1.
        source: file name.
        ap: taken anterior-posterior (the heart is magnified more than in PA).
        uncalibrated: grey values are no line integrals; always true of a radiograph.
        notes: what was changed or guessed on reading, one sentence each, for the report.
    """

    gray: np.ndarray
    source: str
    ap: bool = False
    uncalibrated: bool = True
    notes: list[str] = field(default_factory=list)


def read_radiograph(path: str | Path, size: int = 128, ap: bool = False, *, lateral: bool = False) -> Radiograph:
    """Read a frontal chest radiograph.

    The longer side is cropped about its middle to a square, which keeps the aspect ratio; the square is reduced by area
    averaging (enlarged by bicubic interpolation) to `size`; grey values are scaled to 0..1. A PNG or JPEG with bright
    air is inverted (`looks_inverted`) and a note says so; a DICOM is shown as its header says: modality and VOI
    look-up, MONOCHROME1 inverted, turned upright by PatientOrientation.

    Args:
        path: PNG (8 or 16 bit), JPEG, or a DICOM radiograph, recognised by content.
        size: side of the result, pixels.
        ap: anterior-posterior; also set by a DICOM's ViewPosition.
        lateral: a lateral view, to be looked at: it is not refused, and no bright air is looked for.

    Raises:
        InputError: no image, damaged, in colour, constant, below 64 pixels, multi-frame, a CT, a lateral view.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a PNG, JPEG or DICOM radiograph")
    with reading(path, "damaged or cut short", quote=False):  # a value in a DICOM file may be a name
        return _read(path, size, ap, lateral)


def _read(path: Path, size: int, ap: bool, lateral: bool) -> Radiograph:
    with path.open("rb") as stream:
        is_dicom = stream.read(132)[128:] == b"DICM"
    notes: list[str] = []
    if is_dicom:
        pixels, view = _dicom_pixels(path, notes, lateral)
        if view == "AP" and not ap:
            notes.append("the DICOM header says AP")
        if view == "PA" and ap:
            notes.append("called AP, but the DICOM header says PA")
        ap = ap or view == "AP"
    else:
        pixels = _picture_pixels(path)
    gray = square_gray(pixels, size, str(path))
    if not lateral and looks_inverted(gray):
        if is_dicom:
            notes.append("air looks bright although the DICOM header says otherwise; left as it is")
        else:
            gray = 1 - gray
            notes.append("air was bright: inverted")
    return Radiograph(np.ascontiguousarray(gray, dtype=np.float32), path.name, ap, True, notes)


def square_gray(pixels: np.ndarray, size: int, where: str) -> np.ndarray:
    """float32 (size, size) in 0..1: the middle square of grey values (h, w), resampled and scaled.

    Raises:
        InputError: below 64 pixels, or one grey value; `where` names the picture.
    """
    if min(pixels.shape) < MIN_PIXELS:
        raise InputError(f"{where}: {pixels.shape[1]} x {pixels.shape[0]} pixels; give at least {MIN_PIXELS} each way")
    span = float(pixels.max() - pixels.min())
    if not span > 0 or float(pixels.std()) < 1e-3 * span:
        raise InputError(f"{where}: the image is one constant grey value; give a chest radiograph")
    gray = _resize(_square(pixels), size)
    if float(gray.max() - gray.min()) < 1e-3 * span:
        raise InputError(f"{where}: nothing but one grey value in the middle square; give a chest radiograph")
    return (gray - gray.min()) / (gray.max() - gray.min())


def _picture_pixels(path: Path) -> np.ndarray:
    """float32 (h, w) from PNG or JPEG."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as opened:
            check_size(
                opened.width * opened.height, MAX_PIXELS, "pixels", path, "give a radiograph, or make it smaller"
            )
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("L", "I", "F", "1") or image.mode.startswith("I;16"):
                return np.asarray(image, dtype=np.float32)
            if image.mode == "LA":
                return np.asarray(image.getchannel("L"), dtype=np.float32)
            return _gray_of_colour(np.asarray(image.convert("RGB"), dtype=np.float32) / 255, path)
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image; give a PNG, JPEG or DICOM radiograph") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: far too many pixels for a radiograph; make it smaller") from error
    except (OSError, SyntaxError, EOFError) as error:  # what Pillow raises for damaged PNG chunks and cut JPEG data
        raise InputError(f"{path}: the image is damaged or cut short; copy it again") from error


def _gray_of_colour(rgb: np.ndarray, path: Path) -> np.ndarray:
    """float32 (h, w): the grey of (h, w, 3) in 0..1 whose channels are equal but for rounding and small marks."""
    spread = rgb.max(-1) - rgb.min(-1)
    if spread.mean() > COLOUR_MEAN or (spread > 0.12).mean() > COLOUR_FRACTION:
        raise InputError(f"{path}: the image has real colour; give a grey radiograph, not a photograph or a heat map")
    return rgb.mean(-1)


def _dicom_pixels(path: Path, notes: list[str], lateral: bool) -> tuple[np.ndarray, str]:
    """float32 (h, w) for display, dense = bright and upright, and the view position ("" where unknown)."""
    image = decode(lambda: dcmread(path), str(path))
    modality = str(image.get("Modality", "")).upper()
    if modality == "CT":
        raise InputError(f"{path}: one image of a CT; give the folder or zip of the whole series")
    if modality not in _MODALITIES or "PixelData" not in image:
        raise InputError(f"{path}: a DICOM file of kind {modality or 'unknown'}, not a radiograph; give CR or DX")
    if int(image.get("NumberOfFrames", 1) or 1) > 1:
        raise InputError(f"{path}: holds several frames; give a single radiograph")
    view = view_position(image)
    if view == "lateral" and not lateral:
        raise InputError(f"{path}: a lateral view ({_view_tags(image)}); give the frontal one")
    stored = decode(lambda: pixel_array(image, path), str(path), image)
    if stored.ndim == 3:
        gray = _gray_of_colour(_rgb(stored, image, path), path)
    else:
        gray = np.asarray(decode(lambda: _presented(stored, image), str(path)), dtype=np.float32)
        if image.PhotometricInterpretation == "MONOCHROME1":
            gray = gray.max() - gray
            notes.append("MONOCHROME1: inverted, as its header asks")
    return _upright(gray, image, notes), view


def view_position(image: Any) -> Literal["PA", "AP", "lateral", ""]:
    """The view that a DICOM header speaks of, by ViewPosition and PatientOrientation; empty where it does not say."""
    position = str(image.get("ViewPosition", "") or "").upper()
    if position in LATERAL or {"A", "P"} & set(_towards(image)):
        return "lateral"
    return "PA" if position == "PA" else "AP" if position == "AP" else ""


def _towards(image: Any) -> list[str]:
    """Where rows and columns run to: L, R, A, P, H or F; DICOM PS3.3 C.7.6.1.1.1."""
    return [str(direction).upper()[:1] for direction in image.get("PatientOrientation") or []]


def _view_tags(image: Any) -> str:
    orientation = "/".join(_towards(image))
    return f"ViewPosition {image.get('ViewPosition', '')}" + (
        f", PatientOrientation {orientation}" if orientation else ""
    )


def _presented(stored: np.ndarray, image: Any) -> np.ndarray:
    """Modality look-up (rescale), then the first VOI look-up or window; DICOM PS3.3 C.11."""
    shown = apply_voi_lut(apply_modality_lut(stored, image), image)
    # a window beside the data would leave one grey value; the stored values are better than nothing
    return shown if np.ptp(shown) > 0 else stored


def _rgb(stored: np.ndarray, image: Any, path: Path) -> np.ndarray:
    if stored.shape[-1] != 3:
        raise InputError(f"{path}: pixels of shape {stored.shape}; give a single grey radiograph")
    colour = stored
    if str(image.PhotometricInterpretation).startswith("YBR"):
        colour = convert_color_space(stored, image.PhotometricInterpretation, "RGB")
    return colour.astype(np.float32) / (2 ** int(image.BitsStored) - 1)


def _upright(gray: np.ndarray, image: Any, notes: list[str]) -> np.ndarray:
    """Turn until columns run to the patient's left, rows to the feet: PatientOrientation L, F (PS3.3 C.7.6.1.1.1)."""
    towards = _towards(image)
    if len(towards) != 2 or not all(towards):
        return gray
    if towards[0] in "HF" and towards[1] in "LR":
        gray, towards = gray.T, towards[::-1]
        notes.append("turned upright by PatientOrientation")
    if towards[0] == "R":
        gray = gray[:, ::-1]
        notes.append("mirrored by PatientOrientation: the patient's right was on the right")
    if towards[1] == "H":
        gray = gray[::-1]
        notes.append("turned head up by PatientOrientation")
    return gray


def _square(pixels: np.ndarray) -> np.ndarray:
    rows, columns = pixels.shape
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    return pixels[top : top + side, left : left + side]


def _resize(square: np.ndarray, size: int) -> np.ndarray:
    filtered = Image.Resampling.BOX if square.shape[0] >= size else Image.Resampling.BICUBIC
    image = Image.fromarray(np.ascontiguousarray(square, dtype=np.float32))
    return np.asarray(image.resize((size, size), filtered), dtype=np.float32)
