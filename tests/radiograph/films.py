"""Synthetic radiographs in files: DICOM with any tags, and what reading them should give."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid


def reduced(gray: np.ndarray, size: int = 128) -> np.ndarray:
    """2 x 2 block means of a (256, 256) image, scaled to 0..1: what reading should give."""
    small = gray.reshape(size, 2, size, 2).mean((1, 3))
    return (small - small.min()) / (small.max() - small.min())


def header(**tags: object) -> FileDataset:
    """A radiograph of 12 bits without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.PatientName, image.Modality = "Secret^Person", "DX"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    for name, value in tags.items():
        setattr(image, name, value)
    return image


def write_dicom(path: Path, stored: np.ndarray, /, without: Sequence[str] = (), **tags: object) -> Path:
    """Stored values (h, w) or (h, w, 3) under these tags, less those in `without`."""
    image = header(**tags)
    image.Rows, image.Columns = tags.get("Rows", stored.shape[0]), tags.get("Columns", stored.shape[1])
    kinds = {(8, 0): "u1", (12, 0): "u2", (16, 0): "u2", (16, 1): "i2", (32, 0): "u4"}
    kind = np.dtype(kinds[image.BitsAllocated, image.PixelRepresentation])
    if not image.file_meta.TransferSyntaxUID.is_little_endian:
        kind = kind.newbyteorder(">")
    pixels = np.ascontiguousarray(np.rint(stored).astype(np.int64).astype(kind)).tobytes()
    if "PixelData" not in tags:
        image.PixelData = pixels
    for tag in without:
        del image[tag]
    pydicom.dcmwrite(path, image)
    return path


def item(**tags: object) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def table(entries: Sequence[int], first: int = 0, bits: int = 16, numbers: int | None = None) -> Dataset:
    """An item with a look-up table of 16-bit words."""
    data = np.asarray(entries, "<u2").tobytes()
    return item(LUTDescriptor=[(numbers or len(entries)) % 65536, first, bits], LUTData=data)


def colour(**tags: object) -> dict[str, object]:
    """The tags of a screen capture with three 8-bit channels."""
    usual = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    return usual | {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "Modality": "SC"} | tags


def alike(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation."""
    return float(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1])
