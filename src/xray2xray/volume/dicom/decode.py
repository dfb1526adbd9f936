"""pydicom's many ways to fail, each as one line that says what to do."""

from collections.abc import Callable
from typing import Any

import pydicom
from pydicom.uid import UID

from ...core.errors import InputError, silent_libraries


def decode(read: Callable[[], Any], where: str, image: Any = None) -> Any:
    """`read()`, with whatever it raises turned into an InputError.

    Args:
        read: reads a file or its pixels.
        where: the file, for the message.
        image: the data set whose pixels are read, for the name of the compression.
    """
    try:
        with silent_libraries():
            return read()
    except InputError:
        raise
    except Exception as error:  # pydicom and its plug-ins raise nearly every type there is
        syntax = UID(getattr(getattr(image, "file_meta", None), "TransferSyntaxUID", ""))
        if image is not None and syntax in pydicom.uid.AllTransferSyntaxes and syntax.is_compressed:
            hint = "its decoder is missing or the file is damaged: pip install 'xray2xray[dicom]', or copy it again"
            raise InputError(f"{where}: cannot decode {syntax.name} ({type(error).__name__}); {hint}") from error
        raise InputError(f"{where}: damaged or cut short ({type(error).__name__}); copy the file again") from error
