"""Images of more than 8 bits, damaged EXIF blocks, photos of phones: pixels count."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stargan.data.datamodule import DataModule
from stargan.data.image_folder import ImageFolder
from stargan.data.region_files import open_regions
from stargan.errors import UserError
from stargan.imaging.decode import bits_in_use, open_image, sampled_bits, to_rgb, upright_size
from stargan.imaging.framing import frame
from tests.conftest import draw_square

RAMP = np.linspace(0, 1, 64).reshape(8, 8)
EIGHT = np.round(RAMP * 255)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def ramp(bits: int) -> NDArray[np.uint16]:
    return np.round(RAMP * (2**bits - 1)).astype(np.uint16)


def png16(array: NDArray[np.uint16], kind: int) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write in colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )


def shown(data: bytes, bits: int = 0) -> NDArray[np.uint8]:
    return np.asarray(open_image(data, bits))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_grey_is_scaled_by_the_bits_in_use(bits: int) -> None:
    array = ramp(bits)
    big = Image.frombytes("I;16B", (8, 8), array.astype(">u2").tobytes())
    forms = [
        saved(Image.fromarray(array), "PNG"),
        saved(Image.fromarray(array), "TIFF"),
        saved(big, "TIFF"),
        saved(Image.fromarray(array.astype(np.int32)), "TIFF"),
    ]
    if bits > 8:
        forms.append(saved(Image.fromarray(array.astype(np.float32)), "TIFF"))
    for data in forms:
        assert np.abs(shown(data)[:, :, 0] - EIGHT).max() <= 1


def test_more_than_16_bits() -> None:
    wide = np.round(RAMP * (2**20 - 1)).astype(np.int32)
    assert np.abs(shown(saved(Image.fromarray(wide), "TIFF"))[:, :, 0] - EIGHT).max() <= 1


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (6, 4), (4, 2)])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_colour_is_scaled_by_the_bits_in_use(kind: int, channels: int, bits: int) -> None:
    array = np.stack([ramp(bits)] * channels, -1)
    if channels in (2, 4):
        array[..., -1] = 65535
        array[0, 0, -1] = 0
    pixels = shown(png16(array, kind))
    expected = EIGHT.copy()
    if channels in (2, 4):
        expected[0, 0] = 255  # transparent: the paper shows
    assert np.abs(pixels[:, :, 0] - expected).max() <= 1
    if channels > 2:
        assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])


def test_no_range_is_refused() -> None:
    below = saved(Image.fromarray(RAMP.astype(np.float32) * 2 - 1), "TIFF")
    with pytest.raises(UserError, match="below zero"):
        open_image(below)
    ones = saved(Image.fromarray(RAMP.astype(np.float32)), "TIFF")
    assert np.abs(shown(ones)[:, :, 0] - EIGHT).max() <= 1


def test_a_dark_image_among_others(tmp_path: Path) -> None:
    """All files of a data set, and of a folder to translate, have one scale."""
    for name in "ab":
        for i in range(20):
            array = ramp(12) if i else ramp(10)
            path = tmp_path / name / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(array).save(path)
    dark = tmp_path / "a" / "0.png"
    assert bits_in_use(dark) == 10
    assert sampled_bits(sorted(tmp_path.rglob("*.png"))) == 12
    data = DataModule({"folder": lambda split: ImageFolder(tmp_path, split)}, 8, batch_size=2)
    data.setup()
    for prepared in (data.train["folder"], data.test["folder"]):
        images = prepared.images
        assert isinstance(images, ImageFolder)
        assert images.bits == 12
        for row, path in enumerate(images.paths):
            pixels = prepared.pixels(row)
            assert pixels is not None
            assert pixels.max() == (64 if path.name == "0.png" else 255)
    said = [line for line in data.describe() if "of more than 8 bits use 12" in line]
    assert len(said) == 1


def test_eight_bits_have_none(tmp_path: Path) -> None:
    draw_square(tmp_path / "a.png", (9, 9, 9), 0)
    (tmp_path / "b.png").write_bytes(b"no image")
    assert sampled_bits([tmp_path / "a.png", tmp_path / "b.png"]) == 0
    assert sampled_bits([]) == 0


DAMAGED = {
    "no header": b"Exif\0\0garbage",
    "cut short": b"Exif\0\0MM",
    "an offset beyond the end": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "empty": b"Exif\0\0",
    "wrong type": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02a\0\0\0\0\0\0\0",
    "no orientation": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0",
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_damaged_exif_block(tmp_path: Path, name: str, form: str) -> None:
    data = saved(Image.new("RGB", (16, 8), "red"), form, exif=DAMAGED[name])
    (tmp_path / "a").write_bytes(data)
    opened = open_image(data)
    assert frame(opened, (4, 8), [None]).size == (8, 4), "translate frames it once more"
    with Image.open(tmp_path / "a") as raw:
        assert to_rgb(raw).size == (16, 8)
    assert upright_size(tmp_path / "a") == (8, 16)


def test_an_orientation_beside_damage_counts(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    block = bytearray(exif.tobytes())
    block[block.index(b"\x01\x0f") + 3] = 0x63  # A type that does not exist.
    photo = Image.new("RGB", (16, 8), "red")
    photo.paste("blue", (0, 0, 8, 8))
    opened = open_image(saved(photo, "JPEG", exif=bytes(block), quality=95))
    assert opened.size == (8, 16)
    assert to_rgb(opened).size == (8, 16), "turned once"
    assert opened.getpixel((4, 2))[2] > 200  # type: ignore[index]


def test_a_mask_with_a_damaged_exif_block(tmp_path: Path) -> None:
    draw_square(tmp_path / "images" / "a.png", (9, 9, 9), 0)
    mask = Image.new("L", (40, 40))
    mask.paste(255, (0, 0, 20, 40))
    (tmp_path / "masks").mkdir()
    mask.save(tmp_path / "masks" / "a.png", exif=DAMAGED["no header"])
    regions = open_regions(tmp_path / "masks", tmp_path / "images", ["Male"], [])
    region = regions.region(tmp_path / "images" / "a.png", "Male")
    assert region is not None
    assert region.pixels.sum() == 800


def test_a_photo_of_a_phone(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    (tmp_path / "a.HEIC").write_bytes(base64.b64decode(PHOTO))
    opened = open_image(tmp_path / "a.HEIC")
    assert sorted(opened.size) == [48, 64]
    red, blue = opened.getpixel((opened.width - 4, 40)), opened.getpixel((4, 4))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert red[0] > 150 > red[2]
    assert blue[2] > 150 > blue[0]


PHOTO = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAb5tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAAB4gABAAAAAAAAACQAAgAAAAACBgABAAAAAAAAACQAAAA4aWlu"
    "ZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA"
    "/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkA"
    "AAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAA"
    "AAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAABppcmVmAAAAAAAA"
    "AA5jZHNjAAIAAQABAAAAUG1kYXQAAAAgKAGvGYDvSaW//+e5RHzjfv7CyF4XmGZ/zOj58LUjbW8AAAAGRXhpZgAA"
    "TU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAA="
)
