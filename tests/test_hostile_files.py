"""Files made to exhaust memory, to reach out of their folder or to run code: each is refused with one clear message."""

import gzip
import io
import json
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, DigitalXRayImageStorageForPresentation

from benchmarks.fuzz.formats import ct_series, dicom_image, frontal
from xray2xray.core.errors import InputError
from xray2xray.core.limits import MAX_PIXELS, check_ratio, check_size, free_bytes
from xray2xray.io.archive import opened_zip
from xray2xray.io.model_folder import folder_of
from xray2xray.io.npz import read_npz
from xray2xray.io.text import read_json, read_yaml
from xray2xray.models.world_model import WorldModel
from xray2xray.radiograph import read_radiograph
from xray2xray.training.checkpoint import load_checkpoint
from xray2xray.training.presets import read_recipe
from xray2xray.volume import read_volume

LITTLE = 200 * 2**20  # bytes that Python and numpy may take for any of these


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < LITTLE, f"{peak / 2**20:.0f} MiB"


def zipped(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


# ---------------------------------------------------------------- archives


@pytest.mark.parametrize(
    "name", ["../out.dcm", "a/../../out.dcm", "/etc/out.dcm", "C:\\out.dcm", "..\\out.dcm", "\\out.dcm"]
)
def test_a_member_that_leads_out_of_the_archive(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "a.zip", {"good.dcm": b"x", name: b"x"})
    with pytest.raises(InputError, match=r"a\.zip: its member .* leads out of the archive"):
        read_volume(path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.zip"]


def test_a_link_in_an_archive(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"link.dcm": b"/etc/passwd"}, mode=0o120777)
    with pytest.raises(InputError, match=r"'link\.dcm' is a link"):
        read_volume(path)


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.dcm": b"x"})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="is encrypted"):
        read_volume(path)


def test_a_zip_bomb_by_its_directory(tmp_path: Path) -> None:
    """Sixteen members of 20 MB of zeros in 300 kB: more than 256 MiB and more than 200 times the file."""
    path = zipped(tmp_path / "bomb.zip", dict.fromkeys([f"{i}.dcm" for i in range(16)], bytes(20_000_000)))
    with pytest.raises(InputError, match="more than 200 times its size: a decompression bomb"):
        read_volume(path)


def test_a_zip_bomb_whose_directory_lies(tmp_path: Path) -> None:
    """The directory promises 1,000 bytes, the member unpacks to 300 MB: reading stops at once."""
    path = zipped(tmp_path / "bomb.zip", {"a.dcm": bytes(1000)})
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    real = b"".join(packer.compress(bytes(2**20)) for _ in range(300)) + packer.flush()
    name = b"a.dcm"
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, 0, len(real), 1000, len(name), 0) + name + real
    central = struct.pack(
        "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, 0, len(real), 1000, len(name), 0, 0, 0, 0, 0, 0
    )  # fmt: skip
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(central) + len(name), len(local), 0)
    path.write_bytes(local + central + name + end)
    with opened_zip(path) as archive, pytest.raises(InputError, match="damaged or cut short"):
        archive.read("a.dcm")


def test_an_archive_of_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xray2xray.io.archive.MAX_MEMBERS", 3)
    with pytest.raises(InputError, match="holds 4 files, more than 3"):
        read_volume(zipped(tmp_path / "a.zip", {str(i): b"" for i in range(4)}))


# ---------------------------------------------------------------- scans


def test_a_nifti_header_that_promises_too_much(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[42:48] = np.array([32767, 32767, 32767], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(data)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data))
    for name in ("a.nii", "a.nii.gz"):
        with pytest.raises(InputError, match="35,181,150,961,663 voxels are too many"):
            read_volume(tmp_path / name)


def test_a_nifti_bomb(tmp_path: Path) -> None:
    """1,000 x 1,000 x 600 zeros in 600 kB."""
    header = nib.Nifti1Header()
    header.set_data_shape((1000, 1000, 600))
    header.set_data_dtype(np.uint8)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    with gzip.open(tmp_path / "bomb.nii.gz", "wb") as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(600):
            file.write(bytes(1_000_000))
    with pytest.raises(InputError, match="a decompression bomb, not a scan"):
        read_volume(tmp_path / "bomb.nii.gz")


@pytest.mark.parametrize("kind", ["ct", "radiograph"])
def test_a_dicom_header_that_promises_too_many_pixels(tmp_path: Path, kind: str) -> None:
    ct_series(tmp_path / "series")
    for file in (tmp_path / "series").iterdir():
        image = pydicom.dcmread(file)
        image.Rows = image.Columns = 65535
        image.Modality = "DX" if kind == "radiograph" else "CT"
        image.save_as(file)
    with pytest.raises(InputError, match=r"(voxels|pixels) are too many"):
        read_volume(tmp_path / "series") if kind == "ct" else read_radiograph(tmp_path / "series" / "00.dcm")


def test_a_deflated_dicom_bomb(tmp_path: Path) -> None:
    kind, pixels = DigitalXRayImageStorageForPresentation, (255 * frontal()).astype(np.uint8)
    image = dicom_image(kind, DeflatedExplicitVRLittleEndian, pixels, Modality="DX")
    pydicom.dcmwrite(tmp_path / "bomb.dcm", image, enforce_file_format=True)
    assert read_radiograph(tmp_path / "bomb.dcm").gray.shape == (128, 128)
    head = (tmp_path / "bomb.dcm").read_bytes()
    start = head.find(b"\x02\x00\x00\x00UL")
    begin = start + 12 + int.from_bytes(head[start + 8 : start + 12], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(packer.compress(bytes(2**20)) for _ in range(400)) + packer.flush()
    (tmp_path / "bomb.dcm").write_bytes(head[:begin] + body)
    with pytest.raises(InputError, match="decompression bomb"):
        read_radiograph(tmp_path / "bomb.dcm")


# ---------------------------------------------------------------- pictures


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8_193, 20_000, 2**31 - 1])
def test_a_picture_of_too_many_pixels(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(_png(side, side))
    with pytest.raises(InputError, match=r"bomb\.png: .*(too many|not an image)"):
        read_radiograph(tmp_path / "bomb.png")


def test_a_jpeg_of_too_many_pixels(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (64, 64)).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    (tmp_path / "bomb.jpg").write_bytes(data)
    with pytest.raises(InputError, match="too many"):
        read_radiograph(tmp_path / "bomb.jpg")


def test_text_that_unpacks_in_a_picture(tmp_path: Path) -> None:
    png = _png(100, 100)
    text = b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    (tmp_path / "bomb.png").write_bytes(png[:33] + chunk + png[33:])
    with pytest.raises(InputError, match=r"bomb\.png: "):
        read_radiograph(tmp_path / "bomb.png")


# ---------------------------------------------------------------- models, arrays, settings


class Harmful:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (exec, ("import pathlib; pathlib.Path('harm').touch()",))


def test_pickles_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"step": Harmful(), "objective": {}, "optimizers": {}, "configuration": ""}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="no checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    np.savez(tmp_path / "a.npz", views=np.array([Harmful()], dtype=object))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Harmful()))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(InputError, match="damaged"):
            read_npz(tmp_path / name)
    assert not (tmp_path / "harm").exists()


def test_an_array_header_that_promises_too_much(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)})
    zipped(tmp_path / "a.npz", {"views.npy": stream.getvalue() + bytes(80)})
    with pytest.raises(InputError, match="does not have 80 bytes"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("direct", "dim", 2**30),
        ("direct", "trunk", 10**6),
        ("direct", "dim", 4096),
        ("vision", "size", 2**15),
        ("vision", "widths", [8, -16]),
        ("vision", "blocks", ["1", "1"]),
        ("vision", "codebook_size", None),
        ("volumetric", "depth", 2**20),
        ("volumetric", "donors", 10**6),
        ("volumetric", "size", 256),
        ("volumetric", "geometry", "round"),
    ],
)
def test_a_model_that_asks_for_more_than_its_file_holds(tmp_path: Path, part: str, key: str, value: object) -> None:
    packaged = folder_of("tiny")
    for file in packaged.glob("*.safetensors"):
        (tmp_path / file.name).symlink_to(file)
    config = json.loads((packaged / "config.json").read_text())
    config[part][key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config\.json"):
        WorldModel.from_pretrained(tmp_path, "volumetric" if part == "volumetric" else "direct")


def test_text_that_stands_for_more(tmp_path: Path) -> None:
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x'}]" for i in range(12)]
    (tmp_path / "laughs.yaml").write_text("\n".join(levels))
    with pytest.raises(InputError, match="aliases"):
        read_yaml(tmp_path / "laughs.yaml")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"deep\.json: cannot be read as JSON"):
        read_json(tmp_path / "deep.json")
    (tmp_path / "long.json").write_text(" " * 5_000_000)
    with pytest.raises(InputError, match="more than 4 MiB"):
        read_json(tmp_path / "long.json")
    (tmp_path / "code.yaml").write_text("a: !!python/object/apply:os.system ['touch harm']")
    with pytest.raises(InputError, match=r"code\.yaml: cannot be read as YAML"):
        read_yaml(tmp_path / "code.yaml")


@pytest.mark.parametrize("said", ["direct: {dim: 100000}", "direct_loop: {batch: 100000}", "direct: {trunk: 1000}"])
def test_a_recipe_that_asks_for_too_much(tmp_path: Path, said: str) -> None:
    (tmp_path / "recipe.yaml").write_text(said)
    with pytest.raises(InputError, match="no recipe that can be used"):
        read_recipe(tmp_path / "recipe.yaml")


# ---------------------------------------------------------------- the limits themselves


def test_sizes() -> None:
    check_size(100, MAX_PIXELS, "pixels", "a", "b")
    for count, most in ((MAX_PIXELS + 1, MAX_PIXELS), (float("nan"), MAX_PIXELS)):
        with pytest.raises(InputError, match="too many"):
            check_size(count, most, "pixels", "a", "b")
    with pytest.raises(InputError, match="of memory are free"):
        check_size(free_bytes(), 2**62, "pixels", "a", "b")
    check_ratio(2**28, 1, "a")
    check_ratio(2**30, 2**23, "a")
    with pytest.raises(InputError, match="bomb"):
        check_ratio(2**30, 2**22, "a")
