"""A radiograph in a DICOM file: the pixels as its header wants them shown, and what it says of the view."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.uid import UID

from ..core.errors import InputError
from ..core.limits import MAX_PIXELS, check_size
from ..io.dicom import dcmread, pixel_array
from ..volume.dicom import decode
from .hidden import hidden_pixels
from .picture import Picture, gray_of_colour, square_pixels
from .presentation import numbers, palette, presented, stored_bits
from .view import FRONTAL, HeaderView, towards, view_in_header

# projection radiographs; OT and SC are scans of film and screen captures of them
MODALITIES = ("CR", "DX", "DR", "RG", "RF", "OT", "SC")
_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
}
_CHEST = ("CHEST", "THORAX", "LUNG", "HEART", "RIB", "STERNUM", "BREAST", "BODY", "CLAVICLE")
_NEEDED = ("Rows", "Columns", "BitsAllocated")
_USUAL: dict[str, int | str] = {"SamplesPerPixel": 1, "PixelRepresentation": 0}
_IN_GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_REFUSED = {
    "lateral": "a lateral view",
    "oblique": "an oblique view",
    "decubitus": "a decubitus view: the patient lies on a side",
    "other": "no plain frontal",
}


@dataclass(frozen=True, eq=False)
class DicomRadiograph:
    """Pixels, upright, and the view that the header names."""

    picture: Picture
    view: HeaderView


def is_dicom(path: Path) -> bool:
    """By content; a file without preamble begins with a tag of group 2 or 8."""
    with path.open("rb") as stream:
        head = stream.read(132)
    return head[128:] == b"DICM" or (len(head) == 132 and head[:2] in (b"\x02\0", b"\x08\0") and head[3:4] == b"\0")


def is_radiograph(path: Path) -> bool:
    """Whether a DICOM file names a modality of projection radiographs."""
    try:
        image = dcmread(path, force=True, specific_tags=["Modality"])
    except Exception:  # of whatever kind: the reader of the file says what is wrong
        return False
    return str(image.get("Modality", "")).upper() in MODALITIES


def read_dicom(path: Path, any_view: bool = False, overrule: bool = False) -> DicomRadiograph:
    """A radiograph from a DICOM file.

    Args:
        any_view: a lateral or oblique one is wanted, too.
        overrule: it is said to be a frontal, which decides where the header's tags contradict each other.

    Raises:
        InputError: another kind of image, several frames, real colour, a view that is no frontal, a tag missing, a
            compression without a decoder, damaged.
    """
    where, notes = str(path), list[str]()
    image = decode(lambda: dcmread(path, force=True), where)
    if not len(image):  # what pydicom leaves of a file that ends within compressed pixels
        raise InputError(f"{where}: damaged or cut short (the file ends too early); copy the file again")
    _leave_out_unreadable(image, notes)
    _check_kind(image, where, notes)
    view = view_in_header(image)
    if view.conflict:
        notes.append(f"the header names different views ({view.said})")
    if view.view not in ("", *FRONTAL) and not any_view and not (overrule and view.conflict):
        if view.conflict:
            raise InputError(
                f"{where}: {_REFUSED[view.view]} by one tag and not by another ({view.said}); look at it, and say "
                "--view pa or ap if it is a frontal"
            )
        raise InputError(
            f"{where}: {_REFUSED[view.view]} ({view.said}); give the frontal, PA or AP: laterals, obliques and "
            "decubitus views are not taken"
        )
    if view.unknown:
        notes.append(f"ViewPosition {view.unknown!r} is not known" + ("" if view.view else ": taken for a frontal"))
    gray, hidden, sure = _shown(image, where, notes)
    gray, hidden = _upright(gray, hidden, image, notes)
    return DicomRadiograph(Picture(gray, hidden, sure, tuple(notes)), view)


def _leave_out_unreadable(image: Any, notes: list[str]) -> None:
    """Delete elements whose values pydicom cannot convert; `numbers` looks at decimal strings itself."""
    for tag in list(image.keys()):
        try:
            if image.get_item(tag).VR in ("DS", "IS"):
                continue
            element = image[tag]
        except Exception:  # of nearly every type
            notes.append(f"{keyword_for_tag(tag) or tag} cannot be read: ignored")
            del image[tag]
            continue
        for item in element.value if element.VR == "SQ" else ():
            _leave_out_unreadable(item, notes)


def _check_kind(image: Any, where: str, notes: list[str]) -> None:
    modality = str(image.get("Modality") or _CLASSES.get(str(image.get("SOPClassUID", "")), "")).upper()
    if modality == "CT":
        raise InputError(f"{where}: one image of a CT; give the folder or zip of the whole series")
    if modality not in MODALITIES:
        raise InputError(f"{where}: Modality {modality or 'is missing'}: not a radiograph; give CR or DX")
    if "PixelData" not in image:
        raise InputError(f"{where}: no PixelData inside: a header or a report; give the image")
    frames = numbers(image, "NumberOfFrames", notes)
    if frames and frames[0] > 1:
        raise InputError(f"{where}: holds several frames (NumberOfFrames {frames[0]:g}); give a single radiograph")
    part = str(image.get("BodyPartExamined") or "").strip().upper()
    if part and not any(word in part for word in _CHEST):
        notes.append(f"BodyPartExamined says {part}, not chest")
    if "FOR PROCESSING" in str(image.get("PresentationIntentType") or "").upper():
        notes.append("PresentationIntentType FOR PROCESSING: raw values of the detector, not meant to be looked at")


def _shown(image: Any, where: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """float (h, w), dense bright, square pixels; what is hidden; whether the header is sure of what is white."""
    decoded = _decoded(image, where, notes)
    hidden, sure = None, True
    if decoded.ndim == 3:
        if decoded.shape[-1] != 3:
            raise InputError(f"{where}: pixels of shape {decoded.shape}; give a single grey radiograph")
        gray = gray_of_colour(decoded / (2.0 ** int(image.get("BitsStored") or image.BitsAllocated) - 1), where)
    elif image.PhotometricInterpretation == "PALETTE COLOR":
        try:
            colours = palette(decoded, image)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: PALETTE COLOR without whole tables ({error}); export it in grey") from error
        gray = gray_of_colour(colours / (colours.max() or 1.0), where)
    else:
        hidden = hidden_pixels(decoded, image, notes)
        gray, sure = presented(stored_bits(decoded, hidden, image, notes), image, notes)
    return *square_pixels(gray, hidden, _aspect(image, notes), notes), sure


def _decoded(image: Any, where: str, notes: list[str]) -> np.ndarray:
    """(h, w), or (h, w, 3) in RGB: pydicom turns YBR into RGB, here and nowhere else."""
    for tag in _NEEDED:
        if not isinstance(image.get(tag), int):
            raise InputError(f"{where}: {tag} is {'missing' if tag not in image else image.get(tag)}; export it again")
    for tag, usual in _USUAL.items():
        if image.get(tag) in (None, ""):
            setattr(image, tag, usual)
            notes.append(f"{tag} is missing: taken for {usual}")
    _photometric(image, notes)
    rows, columns, bits = int(image.Rows), int(image.Columns), int(image.BitsAllocated)
    place = f"{where}: Rows {rows} x Columns {columns}"
    check_size(rows * columns, MAX_PIXELS, "pixels", place, "its header is damaged, or it is no chest: export it again")
    if bits not in (1, 8, 16, 32):
        raise InputError(f"{where}: BitsAllocated {bits} is not read; export it with 16 (`gdcmconv --raw` unpacks it)")
    image.BitsStored = image.get("BitsStored") or bits
    image.HighBit = image.get("HighBit") if isinstance(image.get("HighBit"), int) else image.BitsStored - 1
    _transfer_syntax(image, where, notes)
    syntax = UID(image.file_meta.TransferSyntaxUID)
    if not syntax.is_transfer_syntax:
        raise InputError(f"{where}: TransferSyntaxUID {syntax} is not known; export it uncompressed")
    if not syntax.is_compressed:
        samples = 2 if image.PhotometricInterpretation == "YBR_FULL_422" else int(image.SamplesPerPixel)
        needed, there = -(-rows * columns * samples * bits // 8), len(image.PixelData)
        if there < needed:
            raise InputError(
                f"{where}: damaged or cut short (PixelData has {there} of {needed} bytes); copy the file again"
            )
    return decode(lambda: pixel_array(image, where, correct_unused_bits=False), where, image)


def _photometric(image: Any, notes: list[str]) -> None:
    """One that fits the number of samples; where the header has none, or another, the usual one."""
    said = str(image.get("PhotometricInterpretation") or "").strip().upper()
    gray = int(image.SamplesPerPixel) == 1
    fits = said in _IN_GREY if gray else said.startswith(("RGB", "YBR"))
    image.PhotometricInterpretation = said if fits else "MONOCHROME2" if gray else "RGB"
    if not fits:
        what = f"{said} of {image.SamplesPerPixel} samples" if said else "is missing"
        notes.append(f"PhotometricInterpretation {what}: taken for {image.PhotometricInterpretation}")
    if not gray and image.get("PlanarConfiguration") in (None, ""):
        image.PlanarConfiguration = 0
        notes.append("PlanarConfiguration is missing: taken for 0")


def _transfer_syntax(image: Any, where: str, notes: list[str]) -> None:
    """A file without its meta header was written in implicit or explicit little endian; pydicom found out which."""
    if "TransferSyntaxUID" in image.file_meta:
        return
    implicit, little = image.original_encoding
    syntaxes = {(True, True): pydicom.uid.ImplicitVRLittleEndian, (False, True): pydicom.uid.ExplicitVRLittleEndian}
    image.file_meta.TransferSyntaxUID = syntaxes.get((implicit, little), pydicom.uid.ExplicitVRBigEndian)
    notes.append("no file meta header: taken for uncompressed")


def _aspect(image: Any, notes: list[str]) -> float:
    """Height of a pixel over its width: by a spacing, else by PixelAspectRatio (PS3.3 C.7.6.3.1.7)."""
    for tag in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        pair = numbers(image, tag, notes)
        if len(pair) == 2 and min(pair) > 0:
            return pair[0] / pair[1]
    return 1.0


def _upright(
    gray: np.ndarray, hidden: np.ndarray | None, image: Any, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn until columns run to the patient's left, rows to the feet: PatientOrientation L, F (PS3.3 C.7.6.1.1.1)."""
    both = np.stack([gray, np.zeros_like(gray) if hidden is None else hidden])
    along = [direction[:1] for direction in towards(image)]
    if along:
        if along[0] in "HF" and along[1] in "LR":
            both, along = both.transpose(0, 2, 1), along[::-1]
            notes.append("turned upright by PatientOrientation")
        if along[0] == "R":
            both = both[:, :, ::-1]
            notes.append("mirrored by PatientOrientation: the patient's right was on the right")
        if along[1] == "H":
            both = both[:, ::-1]
            notes.append("turned head up by PatientOrientation")
    return both[0], None if hidden is None else both[1] > 0
