"""A real chest radiograph, from a picture file or DICOM, to one square grey image."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..core.errors import InputError, reading
from .dicom import is_dicom, read_dicom
from .picture import MIN_PIXELS, Picture, middle_square, read_picture, resized_square
from .polarity import chest_contrast
from .view import View, view_of


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One frontal radiograph as a radiologist hangs it: the patient's right on the left, head up, dense = bright.

    Attributes:
        gray: float32 (size, size) in 0..1.
        source: file name.
        ap: taken anterior-posterior (the heart is magnified more than in PA).
        uncalibrated: grey values are no line integrals; always true of a radiograph.
        notes: what was changed or guessed on reading, one sentence each, for the report.
        view: PA or AP where it is known, else "frontal" or "": then PA is an assumption.
    """

    gray: np.ndarray
    source: str
    ap: bool = False
    uncalibrated: bool = True
    notes: list[str] = field(default_factory=list)
    view: View = ""


def read_radiograph(path: str | Path, size: int = 128, ap: bool | None = None, *, lateral: bool = False) -> Radiograph:
    """Read a frontal chest radiograph.

    Pixels that are not square are made so. The longer side is cropped about its middle to a square, which keeps the
    aspect ratio, and a note says so; the square is reduced by area averaging (enlarged by bicubic interpolation) to
    `size`; grey values are scaled to 0..1. What is transparent, padding or behind a shutter becomes air. A picture with
    bright air is inverted (`looks_inverted`) and a note says so; a DICOM is shown as its header says (PS3.3 C.11),
    turned upright by PatientOrientation. A picture whose name says `lateral`, as CheXpert's do, is believed to be one.

    Args:
        path: PNG (8 or 16 bit), JPEG, TIFF, WebP, BMP, JPEG 2000, or a DICOM radiograph, recognised by content.
        size: side of the result, pixels.
        ap: anterior-posterior (true) or posterior-anterior (false); None believes a DICOM's header.
        lateral: a lateral view, to be looked at: it is not refused, and no bright air is looked for.

    Raises:
        InputError: no image, damaged, in colour, constant, below 64 pixels, more than one film, multi-frame, a CT, a
            view that is no frontal.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a PNG, JPEG, TIFF or DICOM radiograph")
    with reading(path, "damaged or cut short", quote=False):  # a value in a DICOM file may be a name
        return _read(path, size, ap, lateral)


def _read(path: Path, size: int, ap: bool | None, lateral: bool) -> Radiograph:
    view: View = ""
    notes: list[str] = []
    if is_dicom(path):
        read = read_dicom(path, any_view=lateral, overrule=ap is not None)
        picture, view = read.picture, read.view.view
        if view in ("PA", "AP") and ap is not None and ap != (view == "AP"):
            notes.append(f"called {'AP' if ap else 'PA'}, but the DICOM header says {view}")
        elif view == "AP":
            notes.append("the DICOM header says AP")
    else:
        named = view_of(path.stem, free_text=True)
        if named in ("lateral", "oblique", "decubitus") and ap is None and not lateral:
            raise InputError(f"{path}: a {named} view by its name; say --view pa or ap if it is a frontal")
        picture = read_picture(path)
    if ap is not None:
        view = "AP" if ap else "PA"
    notes = [*picture.notes, *notes]
    gray = _shown(picture, size, str(path), notes, any_polarity=lateral)
    return Radiograph(gray, path.name, view == "AP", True, notes, view)


def gray_of_array(pixels: np.ndarray, size: int, notes: list[str]) -> np.ndarray:
    """float32 (size, size) in 0..1 of grey values (h, w), dense bright.

    Raises:
        InputError: as `read_radiograph`.
    """
    return _shown(Picture(pixels), size, "the array", notes, any_polarity=True)


def _shown(picture: Picture, size: int, where: str, notes: list[str], any_polarity: bool) -> np.ndarray:
    """float32 (size, size) in 0..1: the middle square, resampled, dense bright, what is hidden dark as air."""
    if min(picture.gray.shape) < MIN_PIXELS:
        size_said = " x ".join(map(str, picture.gray.shape[::-1]))
        raise InputError(f"{where}: {size_said} pixels; give at least {MIN_PIXELS} each way")
    hidden = np.zeros(picture.gray.shape, bool) if picture.hidden is None else picture.hidden
    seen = picture.gray[~hidden]
    _check_contrast(seen, f"{where}: the image is one constant grey value; give a chest radiograph")
    place = middle_square(np.where(hidden, seen.min(), picture.gray), where, notes)
    pixels, hidden = picture.gray[place], hidden[place]
    seen = pixels[~hidden]
    _check_contrast(seen, f"{where}: nothing but one grey value in the middle square; give a chest radiograph")
    low, high = seen.min(), seen.max()
    dark, bright = (resized_square(np.where(hidden, end, pixels), size) for end in (low, high))
    gray = dark
    if not any_polarity and chest_contrast(bright) + chest_contrast(dark) < 0:  # more of a chest as a negative
        if picture.sure:
            notes.append("air looks bright although the DICOM header says otherwise; left as it is")
        else:
            gray = -bright
            notes.append("air was bright: inverted")
    return np.ascontiguousarray((gray - gray.min()) / (gray.max() - gray.min()), dtype=np.float32)


def _check_contrast(values: np.ndarray, message: str) -> None:
    if not values.size or not np.ptp(values) > 0 or float(values.std()) < 1e-3 * float(np.ptp(values)):
        raise InputError(message)
