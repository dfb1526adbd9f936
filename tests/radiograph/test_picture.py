"""PNG, JPEG, TIFF, WebP and their kin as they come: the same chest, or a line that says what the file is."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray2xray.core.errors import InputError
from xray2xray.radiograph import read_radiograph

from .films import alike


@pytest.fixture
def gray(frontal: np.ndarray) -> np.ndarray:
    """uint8 (256, 256)."""
    y, x = np.mgrid[0:256, 0:256] / 40
    return np.rint((0.02 + 0.94 * frontal + 0.02 * np.sin(x) * np.sin(y)) * 255).astype(np.uint8)


def check(path: Path, chest: np.ndarray, *says: str, above: float = 0.99) -> None:
    read = read_radiograph(path, 256)
    assert alike(read.gray, chest) > above
    for words in says:
        assert any(words in note for note in read.notes), read.notes
    assert says or not read.notes, read.notes


# ------------------------------------------------ formats


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("a.tif", {"format": "TIFF", "compression": "tiff_lzw"}),
        ("called.png", {"format": "TIFF"}),
        ("a.webp", {"format": "WEBP", "lossless": True}),
        ("called.jpg", {"format": "WEBP", "quality": 95}),
        ("a.bmp", {"format": "BMP"}),
        ("a.jp2", {"format": "JPEG2000"}),
        ("progressive.jpg", {"format": "JPEG", "quality": 95, "progressive": True}),
    ],
)
def test_formats_by_content(tmp_path: Path, gray: np.ndarray, name: str, save: dict[str, object]) -> None:
    Image.fromarray(gray).save(tmp_path / name, **save)
    check(tmp_path / name, gray)


def test_cmyk_as_jpeg_and_tiff(tmp_path: Path, gray: np.ndarray) -> None:
    image = Image.fromarray(gray)
    image.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    check(tmp_path / "a.jpg", gray)
    black = Image.merge("CMYK", [Image.new("L", image.size, 0)] * 3 + [Image.fromarray(255 - gray)])
    black.save(tmp_path / "black.jpg", quality=95)
    check(tmp_path / "black.jpg", gray)
    black.save(tmp_path / "a.tif")
    check(tmp_path / "a.tif", gray)


def test_tiff_of_many_bits(tmp_path: Path, gray: np.ndarray) -> None:
    wide = gray.astype(np.uint16) * 16
    Image.fromarray(wide).save(tmp_path / "16.tif")
    check(tmp_path / "16.tif", gray)
    Image.fromarray(gray / np.float32(255)).save(tmp_path / "float.tif")
    check(tmp_path / "float.tif", gray)
    Image.fromarray(4080 - wide).save(tmp_path / "white-is-zero.tif", tiffinfo={262: 0})
    check(tmp_path / "white-is-zero.tif", gray)
    broken = gray / np.float32(255)
    broken[3, 3] = np.nan
    Image.fromarray(broken).save(tmp_path / "nan.tif")
    with pytest.raises(InputError, match="no numbers"):
        read_radiograph(tmp_path / "nan.tif")


def test_pages_are_refused_and_thumbnails_are_none(tmp_path: Path, gray: np.ndarray) -> None:
    image = Image.fromarray(gray)
    image.save(tmp_path / "two.tif", save_all=True, append_images=[image.rotate(90)])
    with pytest.raises(InputError, match="2 pages"):
        read_radiograph(tmp_path / "two.tif")
    small = image.resize((64, 64))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    image.save(tmp_path / "thumb.tif", save_all=True, append_images=[small])
    check(tmp_path / "thumb.tif", gray)
    image.save(tmp_path / "moving.webp", save_all=True, append_images=[image.rotate(90)], lossless=True)
    with pytest.raises(InputError, match="2 pages"):
        read_radiograph(tmp_path / "moving.webp")


def test_two_grey_values_are_said(tmp_path: Path, gray: np.ndarray) -> None:
    large = Image.fromarray(gray).resize((1024, 1024)).convert("1")  # dithered, as a printer does
    large.save(tmp_path / "a.png")
    check(tmp_path / "a.png", gray, "black or white", above=0.95)


# ------------------------------------------------ transparency


@pytest.mark.parametrize("film", ["upright", "negative"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "webp", "tiff"])
def test_what_is_transparent_is_air(tmp_path: Path, gray: np.ndarray, film: str, mode: str) -> None:
    alpha = np.full(gray.shape, 255, np.uint8)
    alpha[:, :24] = alpha[:, -24:] = 0
    shown = 255 - gray if film == "negative" else gray.copy()
    shown[alpha == 0] = 255 if film == "upright" else 90
    made = np.stack([shown, alpha] if mode == "LA" else [shown] * 3 + [alpha], -1)
    path = tmp_path / {"webp": "a.webp", "tiff": "a.tif"}.get(mode, "a.png")
    Image.fromarray(made).save(path, **({"lossless": True, "exact": True} if mode == "webp" else {}))
    read = read_radiograph(path, 256)
    assert read.gray[alpha == 0].max() == 0
    assert alike(read.gray[alpha > 0], gray[alpha > 0]) > 0.99
    assert any("19 % is transparent" in note for note in read.notes)
    assert any("inverted" in note for note in read.notes) == (film == "negative")


def test_one_transparent_grey_and_one_transparent_colour(tmp_path: Path, gray: np.ndarray) -> None:
    shown = np.maximum(gray, 1)
    shown[:, :24] = 0
    shown[:, 232:] = 0
    palette = Image.fromarray(255 - shown).convert("P")
    Image.fromarray(255 - shown).save(tmp_path / "grey.png", transparency=255)
    palette.save(tmp_path / "colour.png", transparency=255)
    for name in ("grey.png", "colour.png"):
        read = read_radiograph(tmp_path / name, 256)
        assert read.gray[:, :24].max() == 0
        assert alike(read.gray[:, 24:232], shown[:, 24:232]) > 0.99


def test_an_alpha_that_is_the_same_everywhere_hides_nothing(tmp_path: Path, gray: np.ndarray) -> None:
    for alpha in (0, 100, 255):
        Image.fromarray(np.stack([gray, np.full_like(gray, alpha)], -1)).save(tmp_path / "a.png")
        check(tmp_path / "a.png", gray)


# ------------------------------------------------ turned and stretched


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_every_turn_that_exif_knows(tmp_path: Path, gray: np.ndarray, orientation: int, name: str) -> None:
    undone = {
        1: gray, 2: gray[:, ::-1], 3: gray[::-1, ::-1], 4: gray[::-1], 5: gray.T, 6: np.rot90(gray),
        7: np.rot90(gray, 2).T, 8: np.rot90(gray, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undone[orientation])).save(tmp_path / name, exif=exif, quality=95)
    check(tmp_path / name, gray)


def test_pixels_that_are_not_square(tmp_path: Path, gray: np.ndarray) -> None:
    flat = Image.fromarray(gray).resize((256, 128), Image.Resampling.BOX)  # each pixel twice as high as wide
    flat.save(tmp_path / "a.jpg", dpi=(200, 100), quality=95)
    check(tmp_path / "a.jpg", gray, "2 times as high", above=0.98)
    flat.save(tmp_path / "a.png", dpi=(200, 100))
    check(tmp_path / "a.png", gray, "2 times as high", above=0.98)
    flat.save(tmp_path / "a.tif", dpi=(200, 100))
    check(tmp_path / "a.tif", gray, "2 times as high", above=0.98)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(flat))))
    turned.save(tmp_path / "turned.jpg", dpi=(100, 200), exif=exif, quality=95)
    check(tmp_path / "turned.jpg", gray, "2 times as high", above=0.98)


def test_a_stretch_that_cannot_be_is_not_believed(tmp_path: Path, gray: np.ndarray) -> None:
    Image.fromarray(gray).save(tmp_path / "a.png", dpi=(30000, 72))
    check(tmp_path / "a.png", gray, "not believed")
    Image.fromarray(gray).save(tmp_path / "b.png", dpi=(72, 72.3))
    check(tmp_path / "b.png", gray)


# ------------------------------------------------ more than one film


def test_two_films_in_one_picture(tmp_path: Path, gray: np.ndarray) -> None:
    both = np.hstack([gray, np.roll(gray, 60, 1)])
    boxed = np.zeros((512, 512), np.uint8)
    boxed[128:384] = both
    portrait = np.hstack([gray[:, 24:232], gray[:, 24:232]])  # 1.63 : 1
    for name, picture in {"side": both, "stacked": both.T, "boxed": boxed, "portrait": portrait}.items():
        Image.fromarray(np.ascontiguousarray(picture)).save(tmp_path / f"{name}.png")
        with pytest.raises(InputError, match="two films side by side"):
            read_radiograph(tmp_path / f"{name}.png")


def test_one_film_in_a_wide_screen_shot(tmp_path: Path, gray: np.ndarray) -> None:
    for margin in (0, 128):
        screen = np.full((300, 560), margin, np.uint8)
        screen[20:276, 200:456] = gray
        Image.fromarray(screen).save(tmp_path / "a.png")
        check(tmp_path / "a.png", gray, "margins of one grey value")


def test_a_crop_is_said(tmp_path: Path, gray: np.ndarray) -> None:
    Image.fromarray(np.pad(gray, ((40, 40), (0, 0)), mode="reflect")).save(tmp_path / "a.png")
    check(tmp_path / "a.png", gray, "24 % of the height")


# ------------------------------------------------ no radiograph at all


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "an empty file"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"GIF89a" + bytes(40), "a GIF"),
        (b"PK\x03\x04" + bytes(40), "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "pointer of Git LFS"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"plain words", "not an image; give"),
    ],
)
def test_what_the_file_is_instead(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_radiograph(tmp_path / "a.png")


def test_a_bomb_of_pixels(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    size = chunk(b"IHDR", struct.pack(">2I5B", 20000, 20000, 1, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", zlib.compress(bytes(100))))
    with pytest.raises(InputError, match="pixels"):
        read_radiograph(tmp_path / "a.png")
