"""What the header of each CT image, a file or a frame of one, says of its place and kind."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from ...io.dicom import dcmread
from .files import Files

CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)

# In the order in which a series is split by them: study (de-identification may give all patients one series), frame,
# acquisition, temporal position, kernel and reconstruction.
PASS_TAGS = (
    "StudyInstanceUID", "FrameOfReferenceUID",
    "AcquisitionNumber", "AcquisitionUID", "AcquisitionDateTime", "AcquisitionTime",
    "TemporalPositionIdentifier", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase", "TriggerTime",
    "ConvolutionKernel", "ImageType", "SliceThickness", "ReconstructionDiameter", "KVP", "RescaleType",
)  # fmt: skip
_OF_SERIES = (
    "SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesDescription", "DerivationDescription", "Rows", "Columns",
    "SamplesPerPixel", "NumberOfFrames",
)  # fmt: skip
_GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_TAGS = [*_OF_SERIES, *PASS_TAGS, *_GEOMETRY, *_GROUPS]
# Where the functional groups of a multi-frame image keep a tag; PS3.3 C.7.6.16 and C.8.15.3.
_SEQUENCE = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "FrameAcquisitionDateTime": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "NominalPercentageOfCardiacPhase": "CardiacSynchronizationSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
    "ReconstructionDiameter": "CTReconstructionSequence",
    "KVP": "CTXRayDetailsSequence",
}
_FRAME_NAME = {
    "AcquisitionNumber": "FrameAcquisitionNumber",
    "AcquisitionDateTime": "FrameAcquisitionDateTime",
    "ImageType": "FrameType",
}
# Words of a description that say what no image type did; others ("mean", "perfusion") may describe the protocol.
TELLING = frozenset(
    ["MIP", "MINIP", "VRT", "IODINE", "ZEFF", "VNC", "MONOE", "AVERAGE", "AVG", "SCOUT", "TOPOGRAM", "LOCALIZER"]
)
_DICOM_NAMES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class Image:
    """One CT image; positions and directions in the DICOM patient frame (LPS), mm.

    Attributes:
        name: the file.
        frame: index of the frame in a multi-frame file.
        series: SeriesInstanceUID, empty where there is none.
        pool: StudyInstanceUID and FrameOfReferenceUID, which hold images together that have no common series.
        position: (3,) centre of the first pixel.
        along_row: (3,) unit, direction of growing column index.
        along_column: (3,) unit, direction of growing row index.
        pixel_mm: between rows, between columns.
        matrix: rows, columns.
        words: of the image type, and what is telling of the descriptions, in capitals.
        units: RescaleType, empty where there is none.
        ct_class: whether the SOP class is one of CT.
        passes: values of `PASS_TAGS`, as text.
    """

    name: str
    frame: int | None
    series: str
    pool: tuple[str, str]
    position: np.ndarray
    along_row: np.ndarray
    along_column: np.ndarray
    pixel_mm: tuple[float, float]
    matrix: tuple[int, int]
    words: frozenset[str] = frozenset()
    units: str = ""
    ct_class: bool = True
    passes: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name if self.frame is None else f"{self.name} frame {self.frame + 1}"


@dataclass(frozen=True)
class Aside:
    """An image that is no slice of a stack.

    Attributes:
        name: the file, and the frame where it has several.
        reason: for the report, such as `localizer`.
        series: SeriesInstanceUID; None where the header cannot be read.
        lost: whether it could have been a slice of its series: a loss and not a choice.
        matrix: rows, columns; None where they are not known.
    """

    name: str
    reason: str
    series: str | None = None
    lost: bool = False
    matrix: tuple[int, int] | None = None


def images_in(files: Files, others: dict[str, int]) -> Iterator[Image | Aside]:
    """Each CT image of each file; `others` counts the DICOM files that are no CT, by modality."""
    for name in files.names():
        try:
            with files.open(name) as stream:
                header = read_header(stream)
        except Exception as error:  # a damaged header makes pydicom raise nearly every type there is
            yield Aside(name, f"unreadable ({type(error).__name__})", lost=True)
            continue
        if header is None:
            if name.lower().endswith(_DICOM_NAMES):
                yield Aside(name, "unreadable (no DICOM header)", lost=True)
            continue
        modality = text(header, "Modality").upper()
        ct_class = text(header, "SOPClassUID") in CT_CLASSES
        if not ct_class and (modality != "CT" or not text(header, "Rows")):
            others[modality or "unknown"] = others.get(modality or "unknown", 0) + 1
            continue
        frames = len(value(header, "PerFrameFunctionalGroupsSequence") or ())
        for frame in range(frames) if frames else (None,):
            yield _image(name, header, frame, ct_class)


def read_header(stream: Any) -> Any:
    """The tags that are needed of a DICOM file, with or without preamble; None where it is no DICOM file."""
    start = stream.read(132)
    if not start:
        raise EOFError
    preamble = start[128:] == b"DICM"
    if not preamble and not _looks_bare(start):
        return None
    stream.seek(0)
    header = dcmread(stream, stop_before_pixels=True, specific_tags=_TAGS, force=not preamble)
    if not text(header, "SOPClassUID") and not text(header, "Modality"):
        if preamble:
            raise EOFError  # the magic word and nothing behind it
        return None
    return header


def _looks_bare(start: bytes) -> bool:
    """Whether a data set begins without preamble: groups 0002 or 0008, in either byte order, low elements first."""
    return (start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\0") or start[:3] == b"\0\x08\0"


def _image(name: str, header: Any, frame: int | None, ct_class: bool) -> Image | Aside:
    series = text(header, "SeriesInstanceUID")
    shown = name if frame is None else f"{name} frame {frame + 1}"
    kind = [part.upper() for part in texts(header, "ImageType", frame)]
    described = _words(f"{text(header, 'SeriesDescription')} {text(header, 'DerivationDescription')}".upper())
    words = frozenset(kind) | _words(" ".join(kind)) | (described & TELLING)
    if {"LOCALIZER", "SCOUT", "TOPOGRAM"} & words:
        return Aside(shown, "localizer", series)
    if (text(header, "SamplesPerPixel") or "1") != "1":
        return Aside(shown, "colour", series)
    if frame is None and (text(header, "NumberOfFrames") or "1") not in ("0", "1"):
        return Aside(shown, "multi-frame file without a place for each frame", series, lost=True)
    position = numbers(header, "ImagePositionPatient", frame, 3)
    direction = numbers(header, "ImageOrientationPatient", frame, 6)
    pixel_mm = numbers(header, "PixelSpacing", frame, 2)
    rows, columns = numbers(header, "Rows"), numbers(header, "Columns")
    if position is None or direction is None or pixel_mm is None or rows is None or columns is None:
        said = zip((*_GEOMETRY, "Rows", "Columns"), (position, direction, pixel_mm, rows, columns), strict=True)
        missing = ", ".join(tag for tag, found in said if found is None)
        # a screen shot or a dose sheet has no place in the patient and says so by its kind
        matrix = None if rows is None or columns is None else (int(rows[0]), int(columns[0]))
        return Aside(shown, f"no valid {missing}", series, ct_class and "SECONDARY" not in kind, matrix)
    axes = _unit(direction[:3]), _unit(direction[3:])
    if axes[0] is None or axes[1] is None or abs(axes[0] @ axes[1]) > 0.05 or min(pixel_mm) <= 0:
        return Aside(shown, "directions or pixel size that are none", series, lost=True)
    return Image(
        name,
        frame,
        series,
        (text(header, "StudyInstanceUID"), text(header, "FrameOfReferenceUID")),
        position,
        axes[0],
        axes[1],
        (pixel_mm[0], pixel_mm[1]),
        (int(rows[0]), int(columns[0])),
        words,
        text(header, "RescaleType", frame).upper(),
        ct_class,
        {tag: "/".join(found) for tag in PASS_TAGS if (found := texts(header, tag, frame))},
    )


def _words(said: str) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Z0-9]+", said))


def _unit(direction: np.ndarray) -> np.ndarray | None:
    """A direction that is rounded, made exact; None where it is no unit vector."""
    length = float(np.linalg.norm(direction))
    if not 0.9 < length < 1.1:
        return None
    return direction if abs(length - 1) < 1e-6 else direction / length


# ---------------------------------------------------------------- tags as they are found


def value(header: Any, tag: str, frame: int | None = None) -> Any:
    """The value of a tag, of a frame by its functional groups (its own, then the shared); None where it is unusable."""
    try:
        if frame is not None:
            name = _FRAME_NAME.get(tag, tag)
            own = header.get("PerFrameFunctionalGroupsSequence")[frame]
            for group in (own, *(header.get("SharedFunctionalGroupsSequence") or ())):
                items = group.get(_SEQUENCE.get(name, ""), None)
                if items and name in items[0]:
                    return items[0].get(name)
        return header.get(tag)
    except Exception:  # a value that its type does not allow, such as a decimal comma: pydicom raises on reading it
        raw = getattr(header.get_item(tag), "value", None)
        return raw.decode("latin-1").split("\\") if isinstance(raw, bytes) else None


def texts(header: Any, tag: str, frame: int | None = None) -> list[str]:
    """The values of a tag as text; empty ones are left out."""
    found = value(header, tag, frame)
    many = found if isinstance(found, pydicom.multival.MultiValue | list | tuple) else [found]
    return [words for item in many if item is not None and (words := str(item).strip())]


def text(header: Any, tag: str, frame: int | None = None) -> str:
    """The value of a tag as text, empty where it is missing or empty."""
    return "/".join(texts(header, tag, frame))


def numbers(header: Any, tag: str, frame: int | None = None, count: int = 1) -> np.ndarray | None:
    """float64 (count,); None unless the tag holds so many finite numbers. A decimal comma is read as a point."""
    try:
        found = [float(item.replace(",", ".")) for item in texts(header, tag, frame)]
    except ValueError:
        return None
    return np.array(found) if len(found) == count and all(map(math.isfinite, found)) else None
