"""Image files and bytes as RGB, upright, whole."""

from __future__ import annotations

import ctypes
from io import BytesIO
from pathlib import Path

import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from stargan.errors import UserError

EXTENSIONS = frozenset(
    [
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    ]
)
"""What counts as an image in a folder, in lower case. A file named outright may be anything."""


def open_image(source: str | Path | bytes) -> Image.Image:
    """An image as RGB, upright, whole.

    EXIF rotation is applied, transparency is laid on white, 16-bit grey is scaled to 8 bits, and
    of an animation the first frame is taken.

    Args:
        source: a path, or the bytes of an image file.

    Raises:
        UserError: missing, no image, truncated, or more pixels than Pillow's limit for
            decompression bombs (``PIL.Image.MAX_IMAGE_PIXELS``); names the file.
    """
    if isinstance(source, bytes):
        name = "the image"
        file: BytesIO | Path = BytesIO(source)
    else:
        file = Path(source)
        name = f"'{file}'"
        if not file.exists():
            raise UserError(f"{name} does not exist: check the path.")
        if file.is_dir():
            raise UserError(f"{name} is a folder: name one image file in it.")
    too_large = f"{name} has too many pixels to be opened safely: make it smaller first."
    try:
        with Image.open(file) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise UserError(too_large)
            image.load()
            return to_rgb(image)
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(too_large) from error
    except PermissionError as error:
        raise UserError(f"{name} may not be read: change its permissions.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{name} is not an image that can be read.") from error
    except Exception as error:  # Decoders raise almost anything on damaged files.
        raise UserError(
            f"{name} is damaged or cut short and cannot be read ({error}): replace it."
        ) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL image as 8-bit RGB, upright; a copy unless nothing had to change.

    Raises:
        UserError: a mode that has no meaning as RGB.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return _to_8_bit(image).convert("RGB")
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            paper = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(paper, image)
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:
        raise UserError(
            f"an image of mode {image.mode} has no RGB form: save it as RGB first."
        ) from error


def _to_8_bit(grey: Image.Image) -> Image.Image:
    """Grey of 16 bits, or float in [0, 1] or [0, 255], as 8 bits.

    Pillow's own conversion clips at 255 and so turns 16-bit scans white.
    """
    is_float = grey.mode == "F"
    data = bytearray(grey.convert("F").tobytes())
    pixels = torch.frombuffer(data, dtype=torch.float32).nan_to_num()
    largest = pixels.max().item()
    factor = 1 / 257 if not is_float or largest > 255 else 255.0 if largest <= 1 else 1.0
    scaled = (pixels * factor).round().clamp(0, 255).to(torch.uint8)
    return Image.frombytes("L", grey.size, _bytes(scaled))


def _bytes(values: Tensor) -> bytes:
    """The memory of a uint8 tensor. Not through NumPy, which nothing here needs."""
    values = values.cpu().contiguous()
    return ctypes.string_at(values.data_ptr(), values.numel())


def upright_size(file: Path) -> tuple[int, int]:
    """(height, width) of an image file as ``open_image`` gives it, read from its header alone.

    Raises:
        UserError: no image that can be read.
    """
    try:
        with Image.open(file) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception as error:  # Decoders raise almost anything on damaged files.
        raise UserError(f"'{file}' is not an image that can be read ({error}).") from error
