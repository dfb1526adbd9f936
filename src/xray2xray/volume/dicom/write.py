"""A `Volume` as a new DICOM CT series that a viewer opens; PS3.3 A.3 (CT Image IOD)."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from ...core.errors import InputError
from ...core.version import VERSION
from ..volume import Volume, canonical
from .stacks import LPS_TO_RAS

INTERCEPT_HU = -1024


def write_dicom_series(folder: str | Path, volume: Volume, description: str = "") -> None:
    """Write axial slices from feet to head, one file each, into a new folder, all of them or none.

    Study, series, frame of reference and images get new UIDs; no patient is named. HU are rounded, and clipped to what
    16 bits hold (-1,024 to 64,511). The image type is derived: what we write is no original scan.

    Args:
        folder: must not exist, or be empty.
        volume: index axes at right angles to each other; others are resampled before.
        description: at most 64 characters, for the series.

    Raises:
        InputError: the folder holds something, or the axes are sheared.
    """
    folder, volume = Path(folder), canonical(volume)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: holds something already; choose a new folder for the DICOM series")
    axes = LPS_TO_RAS @ volume.affine[:3, :3] / volume.spacing_mm
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4):
        raise InputError(f"{folder}: the volume's axes are sheared, DICOM slices cannot be; resample it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as temporary:
        part = Path(temporary) / "series"
        part.mkdir()
        shared = _shared(volume, axes, description)
        for k in range(volume.shape[2]):
            pydicom.dcmwrite(part / f"{k + 1:04d}.dcm", _slice(shared, volume, k), enforce_file_format=True)
        os.replace(part, folder)


def _shared(volume: Volume, axes: np.ndarray, description: str) -> pydicom.Dataset:
    """What all slices say. Empty values are those that PS3.3 wants to be there, known or not (type 2)."""
    data = pydicom.Dataset()
    data.SOPClassUID, data.Modality = CTImageStorage, "CT"
    data.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    data.SeriesNumber, data.SeriesDescription = 1, description[:64]
    data.Manufacturer, data.SoftwareVersions = "xray2xray", VERSION
    for tag in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
        "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator", "KVP", "AcquisitionNumber",
    ):  # fmt: skip
        setattr(data, tag, None)
    data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "written without patient data"
    data.BurnedInAnnotation, data.LossyImageCompression = "NO", "00"
    data.PatientPosition = "HFS"
    data.DerivationDescription = description[:1024]
    data.ImageOrientationPatient = [_decimal(v) for v in (*-axes[:, 0], *-axes[:, 1])]  # to the left, to the back
    data.PixelSpacing = [_decimal(volume.spacing_mm[1]), _decimal(volume.spacing_mm[0])]
    data.SliceThickness = data.SpacingBetweenSlices = _decimal(volume.spacing_mm[2])
    data.Rows, data.Columns = volume.shape[1], volume.shape[0]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, INTERCEPT_HU, "HU"
    data.WindowCenter, data.WindowWidth = -300, 1800
    return data


def _slice(shared: pydicom.Dataset, volume: Volume, k: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", shared, file_meta=meta, preamble=b"\0" * 128)
    image.SOPInstanceUID, image.InstanceNumber = meta.MediaStorageSOPInstanceUID, k + 1
    first = volume.affine @ [volume.shape[0] - 1, volume.shape[1] - 1, k, 1]
    image.ImagePositionPatient = [_decimal(v) for v in LPS_TO_RAS @ first[:3]]
    rows = volume.hu[::-1, ::-1, k].T
    image.PixelData = np.clip(np.rint(rows - INTERCEPT_HU), 0, 65535).astype("<u2").tobytes()
    return image


def _decimal(number: float) -> str:
    """At most 16 characters, as a decimal string must be."""
    return pydicom.valuerep.format_number_as_ds(float(number))
