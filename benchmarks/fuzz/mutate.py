"""Changes of an input: of its bytes, its words, its values, and of what stands in a header.

A mutator is a function (rng, path) that changes the file in place; all it draws comes from `rng`.
"""

import copy
import gzip
import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

Mutator = Callable[[Random, Path], None]

NUMBERS = (0, 1, -1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, -(2**31), 10**30)
REALS = (0.0, -1.0, 1e-300, 1e-6, 1e6, 3e38, 1e308, float("nan"), float("inf"), -float("inf"))
WORDS = (
    "", " ", "nan", "-inf", "0", "-0", "-1", "1e308", "1e-320", "99999999999999999999", "0x10", "1,5", "1\\2\\3",
    "null", "true", "[]", "{}", "[[[[", "]", '"', "'", "\0", "\ufeff", "é", "日本", "🙂", "../../etc/passwd", "C:\\x",
    "/dev/zero", "%s%n", "{0}", "a" * 5000, "\n", "\r", "\t", ";", ",", ":", "- ", "&a", "*a", "!!python/object:x",
    "<script>", "=1+1", "PA", "LL", "CT", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5",
)  # fmt: skip
ELEMENTS = (
    "TransferSyntaxUID", "SOPClassUID", "Modality", "ImageType", "SeriesInstanceUID", "SOPInstanceUID", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "NumberOfFrames",
    "PhotometricInterpretation", "PlanarConfiguration", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape", "PixelPaddingValue", "SliceThickness",
    "PixelPaddingRangeLimit", "AcquisitionNumber", "TemporalPositionIdentifier", "ConvolutionKernel", "PatientID",
    "SpecificCharacterSet", "ViewPosition", "PatientOrientation", "SeriesDescription", "StudyInstanceUID", "PixelData",
    "ShutterShape", "ShutterLeftVerticalEdge", "RedPaletteColorLookupTableDescriptor", "FrameOfReferenceUID",
    "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "PatientPosition", "StudyDate",
)  # fmt: skip


def content(change: Callable[[Random, bytes], bytes]) -> Mutator:
    """A mutator of a file from one of its bytes."""

    def changed(rng: Random, path: Path) -> None:
        path.write_bytes(change(rng, path.read_bytes()))

    return changed


def flipped(rng: Random, data: bytes) -> bytes:
    """1 to 8 edits, half of them in the first 512 bytes."""
    changed = bytearray(data)
    for _ in range(1 << rng.randrange(4)):
        if not changed:
            changed += rng.randbytes(8)
        at = rng.randrange(min(len(changed), 512) if rng.random() < 0.5 else len(changed))
        run = 1 << rng.randrange(12)
        match rng.randrange(9):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x22, 0x5C))
            case 2:
                size, order = rng.choice((2, 4, 8)), rng.choice(("little", "big"))
                number = rng.choice(NUMBERS) % 2 ** (8 * size)
                changed[at : at + size] = number.to_bytes(size, order)
            case 3:
                changed[at : at + 8] = struct.pack(rng.choice("<>") + "d", rng.choice(REALS))
            case 4:
                del changed[at : at + run]
            case 5:
                changed[at:at] = rng.randbytes(run)
            case 6:
                changed[at:at] = changed[at : at + run]
            case 7:
                changed[at : at + run] = bytes(len(changed[at : at + run]))
            case _:
                del changed[rng.randrange(len(changed)) if rng.random() < 0.5 else at :]
    return bytes(changed)


def worded(rng: Random, data: bytes) -> bytes:
    """1 to 4 words of a text replaced, doubled, cut or exchanged; now and then another encoding."""
    text = data.decode("utf-8", errors="replace")
    for _ in range(rng.randint(1, 4)):
        starts = [i for i in range(len(text)) if i == 0 or text[i].isalnum() != text[i - 1].isalnum()] or [0]
        at = rng.choice(starts)
        end = next((start for start in starts if start > at), len(text))
        word = rng.choice((*WORDS, str(rng.choice(NUMBERS)), str(rng.choice(REALS))))
        match rng.randrange(5):
            case 0 | 1:
                text = text[:at] + word + text[end:]
            case 2:
                text = text[:at] + text[end:]
            case 3:
                line = text.count("\n", 0, at)
                lines = text.split("\n")
                lines.insert(rng.randrange(len(lines) + 1), lines.pop(line) if rng.random() < 0.5 else lines[line])
                text = "\n".join(lines)
            case _:
                text = text[:at] + word + text[at:]
    return text.encode(rng.choice(("utf-8",) * 6 + ("utf-16", "latin-1")), errors="replace")


def revalued(rng: Random, tree: Any) -> Any:
    """A tree of dicts and lists with one value replaced, removed, nested or copied elsewhere."""
    places = list(_places(tree))
    if not places:
        return rng.choice((None, [], {}, 1, "x"))
    holder, key = rng.choice(places)
    old = holder[key]
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1:
            holder[key] = rng.choice(WORDS)
        case 2:
            holder[key] = rng.choice((*NUMBERS, *REALS))
        case 3:
            holder[key] = rng.choice((None, True, [], {}, [old], {"x": old}, [old] * 40))
        case 4:
            other, there = rng.choice(places)
            holder[key] = copy.deepcopy(other[there])  # a copy: it may hold the place that it goes to
        case _:
            holder[key] = old * rng.choice((-1, 0, 2, 10)) if isinstance(old, int | float) else rng.choice(NUMBERS)
    return tree


def _places(tree: Any) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)


def json_values(rng: Random, data: bytes) -> bytes:
    return json.dumps(revalued(rng, json.loads(data))).encode()


def safetensors_header(rng: Random, data: bytes) -> bytes:
    """The JSON at the front of a safetensors file with another value."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(revalued(rng, json.loads(data[8 : 8 + length]))).encode()
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def unpacked(change: Callable[[Random, bytes], bytes]) -> Callable[[Random, bytes], bytes]:
    """A change of what is in a gzip file; of another file as it is."""

    def changed(rng: Random, data: bytes) -> bytes:
        if data[:2] != b"\x1f\x8b":
            return change(rng, data)
        return gzip.compress(change(rng, gzip.decompress(data)), 1, mtime=0)

    return changed


def nifti_fields(rng: Random, data: bytes) -> bytes:
    """1 to 3 fields of the header replaced."""
    header = np.frombuffer(data[:348], nib.Nifti1Header.template_dtype).copy()
    for _ in range(rng.randint(1, 3)):
        field = header[rng.choice(header.dtype.names or ())].reshape(-1)
        if field.dtype.kind == "f":
            with np.errstate(over="ignore"):
                field[rng.randrange(len(field))] = rng.choice(REALS)
        elif field.dtype.kind in "iu":
            limits = np.iinfo(field.dtype)
            field[rng.randrange(len(field))] = max(limits.min, min(limits.max, rng.choice(NUMBERS)))
        else:
            field[0] = rng.randbytes(field.dtype.itemsize)
    return header.tobytes() + data[348:]


def dicom_elements(rng: Random, path: Path) -> None:
    """1 to 3 elements of a DICOM file removed or given other bytes, without a look at what they may hold."""
    image = pydicom.dcmread(path)
    explicit = not image.file_meta.TransferSyntaxUID.is_implicit_VR
    for _ in range(rng.randint(1, 3)):
        keyword = rng.choice(ELEMENTS)
        tag = Tag(tag_for_keyword(keyword))  # type: ignore[arg-type]
        held = image.file_meta if tag.group == 2 else image
        if rng.random() < 0.25:
            held.pop(tag, None)
            continue
        value, kind = _dicom_value(rng), dictionary_VR(tag)[:2]
        held[tag] = RawDataElement(tag, kind, len(value), value, 0, not explicit, True)
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        stream = io.BytesIO()
        written = pydicom.filebase.DicomFileLike(stream)
        pydicom.filewriter.write_file_meta_info(written, image.file_meta, enforce_standard=False)
        written.is_little_endian, written.is_implicit_VR = True, not explicit
        for tag in sorted(image.keys()):  # as it is: `write_dataset` would look at the values
            pydicom.filewriter.write_data_element(written, image.get_item(tag))
        file.write(stream.getvalue())


def _dicom_value(rng: Random) -> bytes:
    match rng.randrange(5):
        case 0:
            value = struct.pack("<H", rng.choice(NUMBERS) % 2**16) * rng.choice((1, 1, 1, 2, 3, 64))
        case 1:
            value = "\\".join(str(rng.choice(NUMBERS)) for _ in range(rng.choice((1, 1, 2, 3, 6)))).encode()
        case 2:
            value = "\\".join(f"{rng.choice(REALS):g}" for _ in range(rng.choice((1, 1, 2, 3, 6)))).encode()
        case 3:
            value = rng.choice(WORDS).encode()
        case _:
            value = rng.randbytes(rng.choice((0, 1, 2, 4, 7, 16, 300)))
    return value[:60_000] + b" " * (len(value[:60_000]) % 2)


def zip_members(rng: Random, path: Path) -> None:
    """Members with other bytes, names, modes or flags, in an archive whose checksums are right."""
    with zipfile.ZipFile(path) as archive:
        members = [(item.filename, archive.read(item), item.external_attr) for item in archive.infolist()]
    chosen = rng.randrange(len(members))
    name, data, mode = members[chosen]
    match rng.randrange(6):
        case 0 | 1 | 2:
            data = flipped(rng, data)
        case 3:
            name = rng.choice(
                ("../../out.dcm", "/etc/out.dcm", "C:\\out.dcm", "..\\..\\x", "a" * 300, "x/", "é\0", name)
            )
        case 4:
            mode, data = 0o120777 << 16, b"/etc/passwd"
        case _:
            members.append(members[rng.randrange(len(members))])
    members[chosen] = name, data, mode
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of doubled names, which are meant
        for name, data, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            archive.writestr(info, data, info.compress_type)
