"""A chest of ellipses whose body, lungs and centre are known exactly, and a scanner that writes it as DICOM."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from xray2xray.volume import Volume

BODY_CENTRE = (10.0, -20.0)  # mm, x and y
LUNG_Z = (-110.0, 90.0)  # mm, lowest and highest point of the lungs


def _chest(spacing: tuple[float, float, float] = (4.0, 4.0, 4.0), couch: bool = False, lungs: bool = True) -> Volume:
    """An elliptic cylinder of soft tissue through the whole scan, two ellipsoid lungs, a spine, optionally a couch."""
    extent = np.array((400.0, 320.0, 320.0))
    shape = np.rint(extent / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(shape - 1) / 2 * spacing
    x, y, z = (affine[i, 3] + spacing[i] * np.arange(shape[i]).reshape([-1 if j == i else 1 for j in range(3)])
               for i in range(3))  # fmt: skip
    x, y = x - BODY_CENTRE[0], y - BODY_CENTRE[1]
    hu = np.full(tuple(shape), -1000.0, np.float32)
    hu[np.broadcast_to((x / 160) ** 2 + (y / 110) ** 2 <= 1, shape)] = 40
    if lungs:
        middle, half = np.mean(LUNG_Z), (LUNG_Z[1] - LUNG_Z[0]) / 2
        for side in (-70, 70):
            hu[((x - side) / 55) ** 2 + (y / 80) ** 2 + ((z - middle) / half) ** 2 <= 1] = -850
    hu[np.broadcast_to(x**2 + (y + 85) ** 2 <= 15**2, shape)] = 500
    if couch:  # a shell 4 mm thick that nearly touches the back, as wide as the patient
        hu[np.broadcast_to((np.abs(y + 116) <= 2) & (np.abs(x) < 150), shape)] = -100
    return Volume(hu, affine, "ellipses")


@pytest.fixture(scope="session")
def chest() -> Callable[..., Volume]:
    return _chest


class Scanner:
    """Writes CT images as a scanner would: one file per slice, LPS, stored values with a rescale."""

    def image(self, hu_rows: np.ndarray, position: np.ndarray, series: str, **extra: object) -> FileDataset:
        """One CT image from (rows, columns) HU with its first pixel centre at `position` (LPS, mm)."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        image.PatientName, image.PatientID = "Secret^Person", "PID-4711"
        image.Modality, image.SeriesInstanceUID = "CT", series
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.ImagePositionPatient = [float(v) for v in position]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.PixelSpacing = [4.0, 4.0]
        image.Rows, image.Columns = hu_rows.shape
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
        image.RescaleSlope, image.RescaleIntercept = 0.5, -1024
        for name, value in extra.items():
            setattr(image, name, value)
        stored = np.rint((hu_rows - float(image.RescaleIntercept)) / float(image.RescaleSlope)).astype(np.uint16)
        image.PixelData = stored.tobytes()
        return image

    def series(self, folder: Path, volume: Volume, uid: str | None = None, every: int = 1) -> list[Path]:
        """Write the RAS volume (4 x 4 x any mm) as axial slices, top slice first, under names in random order."""
        uid = uid or generate_uid()
        folder.mkdir(parents=True, exist_ok=True)
        names = np.random.default_rng(0).permutation(volume.shape[2])
        paths = []
        for k in range(volume.shape[2] - 1, -1, -every):
            rows = volume.hu[::-1, ::-1, k].T  # columns run to the left, rows to the back
            first = volume.affine @ [volume.shape[0] - 1, volume.shape[1] - 1, k, 1]
            image = self.image(rows, first[:3] * (-1, -1, 1), uid)
            paths.append(folder / f"image-{names[k]:03d}.dcm")
            pydicom.dcmwrite(paths[-1], image)
        return paths


@pytest.fixture(scope="session")
def scanner() -> Scanner:
    return Scanner()
