"""DICOM CT to `Volume` and back.

`files` lists what is there, `images` reads each header, `stacks` makes stacks of the images and accounts for the rest,
`choice` takes one stack, `pixels` turns stored values into HU, `read` puts these together; `write` makes a new series.
"""

from .decode import decode
from .read import is_multi_frame_ct, read_dicom_series
from .write import write_dicom_series

__all__ = ["decode", "is_multi_frame_ct", "read_dicom_series", "write_dicom_series"]
