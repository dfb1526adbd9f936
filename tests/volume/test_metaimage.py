"""MetaImage: header by hand, against what ITK writes; what is no single scan of numbers is refused."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.volume import read_metaimage

SHAPE = (4, 3, 2)
VALUES = np.arange(24).reshape(SHAPE, order="F")  # x runs fastest in the file
HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = {msb}
CompressedData = {compressed}
TransformMatrix = 0 1 0 -1 0 0 0 0 1
Offset = 10 20 30
CenterOfRotation = 0 0 0
ElementSpacing = 2 3 5
DimSize = 4 3 2
ElementType = {kind}
ElementDataFile = {file}
"""


def write(path: Path, kind: str = "MET_SHORT", dtype: str = "<i2", compressed: bool = False, data: str = "") -> Path:
    raw = np.ascontiguousarray(VALUES.astype(dtype).T).tobytes()
    raw = zlib.compress(raw) if compressed else raw
    header = HEADER.format(kind=kind, msb=dtype.startswith(">"), compressed=compressed, file=data or "LOCAL").encode()
    path.write_bytes(header + (b"" if data else raw))
    if data:
        (path.parent / data).write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("kind", "dtype"), [("MET_SHORT", "<i2"), ("MET_SHORT", ">i2"), ("MET_USHORT", "<u2"), ("MET_FLOAT", "<f4"),
                        ("MET_DOUBLE", ">f8"), ("MET_CHAR", "i1")]
)  # fmt: skip
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("data", ["", "scan.raw"])
def test_values_and_place(tmp_path: Path, kind: str, dtype: str, compressed: bool, data: str) -> None:
    volume = read_metaimage(write(tmp_path / ("a.mhd" if data else "a.mha"), kind, dtype, compressed, data))
    np.testing.assert_array_equal(volume.hu, VALUES)
    # the first axis runs along LPS y (to the back), the second against LPS x (to the right)
    np.testing.assert_allclose(volume.affine @ [0, 0, 0, 1], [-10, -20, 30, 1])
    np.testing.assert_allclose(volume.affine @ [1, 0, 0, 1], [-10, -22, 30, 1])
    np.testing.assert_allclose(volume.affine @ [0, 1, 0, 1], [-7, -20, 30, 1])
    np.testing.assert_allclose(volume.affine @ [0, 0, 1, 1], [-10, -20, 35, 1])


def test_other_names_of_the_same_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha")
    plain = read_metaimage(path)
    path.write_bytes(path.read_bytes().replace(b"TransformMatrix", b"Rotation").replace(b"Offset", b"Position"))
    np.testing.assert_array_equal(read_metaimage(path).affine, plain.affine)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"ElementSpacing = 2 3 5\n", b"", "no ElementSpacing"),
        (b"DimSize = 4 3 2", b"DimSize = 4 3", "not one 3D scan"),
        (b"DimSize = 4 3 2", b"DimSize = 4000 4000 4000", "too many"),
        (b"DimSize = 4 3 2", b"DimSize = 4 3 9", "bytes of voxels"),
        (b"DimSize = 4 3 2", b"DimSize = 4 3 -2", "not one 3D scan"),
        (b"MET_SHORT", b"MET_SHORT_ARRAY", "binary numbers"),
        (b"BinaryData = True", b"BinaryData = False", "binary numbers"),
        (b"NDims = 3", b"ElementNumberOfChannels = 3", "not one 3D scan"),
        (b"LOCAL", b"../../etc/passwd", "ElementDataFile"),
        (b"LOCAL", b"slice%03d.raw 1 9 1", "ElementDataFile"),
        (b"LOCAL", b"gone.raw", "damaged or cut short"),
        (b"ElementDataFile", b"Comment", "no ElementDataFile"),
        (b"0 1 0 -1 0 0 0 0 1", b"0 1 0 -1", "9"),
        (b"0 1 0 -1 0 0 0 0 1", b"1 0 0 1 0 0 0 0 1", "singular"),
        (b"Offset = 10 20 30", b"Offset = 10 20 nan", "missing or infinite"),
    ],
)
def test_what_is_no_scan_is_refused(tmp_path: Path, old: bytes, new: bytes, says: str) -> None:
    path = write(tmp_path / "a.mha")
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(InputError, match=says) as caught:
        read_metaimage(path)
    assert "\n" not in str(caught.value)


def test_text_and_an_empty_file(tmp_path: Path) -> None:
    for content in (b"", b"this is no scan", b"\0" * 500):
        (tmp_path / "a.mha").write_bytes(content)
        with pytest.raises(InputError, match="not a MetaImage"):
            read_metaimage(tmp_path / "a.mha")


def test_compressed_data_give_no_more_than_the_header_promises(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", compressed=True)
    header, _, _ = path.read_bytes().partition(b"LOCAL\n")
    path.write_bytes(header + b"LOCAL\n" + zlib.compress(VALUES.astype("<i2").tobytes(order="F") + bytes(10_000_000)))
    np.testing.assert_array_equal(read_metaimage(path).hu, VALUES)
