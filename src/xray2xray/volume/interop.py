"""Images of SimpleITK, TorchIO, MONAI and nibabel in and out. None of them is a dependency: an object is known by its
public attributes, and a library is imported only to make one of its own.
"""

from typing import Any

import numpy as np

from ..core.errors import InputError
from .volume import Volume, measured

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from LPS, and back


def image_of(given: Any) -> Volume | np.ndarray | None:
    """A scan in HU, or a picture's grey values (h, w); None of what is no image of these libraries.

    | library | known by | coordinates |
    |---|---|---|
    | SimpleITK `Image` | GetSpacing, GetOrigin, GetDirection | LPS |
    | MONAI `MetaTensor` | a tensor with `affine` | RAS, or as its meta `space` says |
    | TorchIO `ScalarImage` | `data` and `affine` | RAS |
    | nibabel images | `dataobj` and `affine` | RAS |

    A scan of one slice is a picture, whose first axis runs to the right and whose second one down.

    Raises:
        InputError: several channels or times, or numbers that no `Volume` has.
    """
    if hasattr(given, "GetDirection") and hasattr(given, "GetSpacing"):
        return _image(_simpleitk_array(given), _simpleitk_affine(given), "SimpleITK image")
    if getattr(given, "affine", None) is None:
        return None
    affine = np.asarray(given.affine, float)
    if hasattr(given, "detach"):
        space = str(getattr(given, "meta", {}).get("space") or "RAS").rpartition(".")[2]
        array = _without_channel(np.asarray(given.detach().cpu()))
        return _image(array, _TO_RAS @ affine if space == "LPS" else affine, "MONAI image")
    if hasattr(given, "dataobj"):
        return _image(np.asarray(given.dataobj), affine, "nibabel image")
    if hasattr(given, "data"):
        return _image(_without_channel(np.asarray(given.data)), affine, "TorchIO image")
    return None


def to_simpleitk(volume: Volume) -> Any:
    """A SimpleITK image of float32 HU, in LPS as SimpleITK has them."""
    sitk = _library("SimpleITK")
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.hu.transpose(2, 1, 0)))
    affine = _TO_RAS @ volume.affine
    spacing = volume.spacing_mm
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


def to_torchio(volume: Volume) -> Any:
    """A TorchIO ScalarImage (1, x, y, z) of float32 HU."""
    return _library("torchio").ScalarImage(tensor=volume.hu[None].copy(), affine=volume.affine)


def to_monai(volume: Volume) -> Any:
    """A MONAI MetaTensor (1, x, y, z) of float32 HU, in RAS."""
    tensor = _library("torch").tensor
    made = _library("monai.data").MetaTensor
    return made(tensor(volume.hu)[None], affine=tensor(volume.affine), meta={"space": "RAS"})


def _image(array: np.ndarray, affine: np.ndarray, what: str) -> Volume | np.ndarray:
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 2 and array.dtype.kind in "buif":
        return array.T
    if array.ndim != 3 or array.dtype.kind not in "buif":
        raise InputError(f"{what} of shape {array.shape}: give one channel of a scan or of a radiograph")
    return Volume(measured(array, what), affine, what)


def _without_channel(array: np.ndarray) -> np.ndarray:
    """(c, x, y, z) or (c, x, y), c = 1, without c; x, y and z as they are."""
    return array[0] if array.ndim in (3, 4) and array.shape[0] == 1 else array


def _simpleitk_array(image: Any) -> np.ndarray:
    sitk = _library("SimpleITK")
    array = np.asarray(sitk.GetArrayFromImage(image))
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("SimpleITK image of several components a pixel: give one channel of a scan or of a radiograph")
    return array.T


def _simpleitk_affine(image: Any) -> np.ndarray:
    """(4, 4), of three axes; of fewer or more it is not looked at."""
    affine = np.eye(4)
    if image.GetDimension() == 3:
        affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
        affine[:3, 3] = image.GetOrigin()
    return _TO_RAS @ affine


def _library(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise InputError(f"{name.partition('.')[0]} is not installed; install it beside xray2xray") from None
