"""A chest as numbers: volumes in HU from NIfTI, NRRD, MetaImage and DICOM, and their attenuation."""

from .attenuation import hu_to_mu, mu_to_hu
from .chest import Chest, body_mask, isocentre_mm
from .couch import remove_couch
from .dicom import read_dicom_series, write_dicom_series
from .interop import image_of, to_monai, to_simpleitk, to_torchio
from .metaimage import read_metaimage
from .nifti import read_nifti, write_nifti
from .nrrd import read_nrrd
from .read import is_volume, read_volume
from .volume import Volume, canonical

__all__ = [
    "Chest",
    "Volume",
    "body_mask",
    "canonical",
    "hu_to_mu",
    "image_of",
    "is_volume",
    "isocentre_mm",
    "mu_to_hu",
    "read_dicom_series",
    "read_metaimage",
    "read_nifti",
    "read_nrrd",
    "read_volume",
    "remove_couch",
    "to_monai",
    "to_simpleitk",
    "to_torchio",
    "write_dicom_series",
    "write_nifti",
]
