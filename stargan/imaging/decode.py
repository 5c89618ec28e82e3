"""Image files and bytes as RGB, upright, whole."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError, features

from stargan.errors import UserError
from stargan.imaging import deep


def _open_heic() -> bool:
    """Teach Pillow HEIC where a package that can is installed."""
    for name in ("pi_heif", "pillow_heif"):
        with suppress(ImportError):
            importlib.import_module(name).register_heif_opener()
            return True
    return False


HEIC = frozenset([".heic", ".heif", ".hif"])
"""Endings of the photos of phones, which Pillow opens with the help of another package."""

NEEDS_HEIC = "pip install 'stargan[heic]' opens them"

EXTENSIONS = frozenset(
    [
        *(".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm"),
        *(".ppm", ".tga", ".tif", ".tiff"),
        *([".avif"] if features.check("avif") else []),
        *([".jp2", ".j2k"] if features.check("jpg_2000") else []),
        *([".webp"] if features.check("webp") else []),
        *(HEIC if _open_heic() else []),
    ]
)
"""What counts as an image in a folder, in lower case: what Pillow opens here. A file named outright
may be anything."""


def open_image(source: str | Path | bytes, bits: int = 0) -> Image.Image:
    """An image as RGB, upright, whole.

    EXIF rotation is applied where it can be read, transparency is laid on white, and of an
    animation the first frame is taken. Numbers of more than 8 bits are scaled to 8 by the bits in
    use, see ``bits_in_use``.

    Args:
        source: a path, or the bytes of an image file.
        bits: so many bits are in use at least, as other images of the same kind show.

    Raises:
        UserError: missing, no image, truncated, numbers below zero, or more pixels than Pillow's
            limit for decompression bombs (``PIL.Image.MAX_IMAGE_PIXELS``); names the file.
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
            try:
                if deep.is_colour(image):
                    orientation = _orientation(image)
                    whole = deep.colour(image, file, bits)
                    return to_rgb(whole if whole is image else upright(whole, orientation))
                image.load()
                return to_rgb(image, bits)
            except UserError as error:
                raise UserError(f"{name} cannot be taken: {error}") from error
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(too_large) from error
    except PermissionError as error:
        raise UserError(f"{name} may not be read: change its permissions.") from error
    except UnidentifiedImageError as error:
        hint = f" ({NEEDS_HEIC})" if isinstance(file, Path) and needs_heic(file) else ""
        raise UserError(f"{name} is not an image that can be read{hint}.") from error
    except Exception as error:  # Decoders raise almost anything on damaged files.
        raise UserError(
            f"{name} is damaged or cut short and cannot be read ({error}): replace it."
        ) from error


def needs_heic(file: Path) -> bool:
    """Whether a file is a photo that only lacks a package to be opened."""
    return file.suffix.lower() in HEIC - EXTENSIONS


def to_rgb(image: Image.Image, bits: int = 0) -> Image.Image:
    """Any PIL image as 8-bit RGB, upright; a copy unless nothing had to change.

    Args:
        image: any.
        bits: see ``open_image``.

    Raises:
        UserError: a mode that has no meaning as RGB, or numbers that have no range.
    """
    image = upright(image)
    if deep.is_grey(image):
        return deep.to_8_bit(image, bits).convert("RGB")
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


def upright(image: Image.Image, orientation: int | None = None) -> Image.Image:
    """An image turned as its EXIF block says; as it is where that cannot be read.

    Args:
        image: any.
        orientation: as EXIF counts them, where the image itself has lost it.

    Not Pillow's ``exif_transpose``, which reads and writes the whole block and fails when any part
    of it is damaged.
    """
    turn = _TURNS.get(_orientation(image) if orientation is None else orientation)
    if turn is None:
        return image
    turned = image.transpose(turn)
    # Turned once: what else is known of it must not turn it again.
    turned.info = {k: v for k, v in image.info.items() if k == "transparency"}
    return turned


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF counts them; 1, upright, where it cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Damaged blocks raise almost anything. The pixels count.
        return 1


def upright_size(file: Path) -> tuple[int, int]:
    """(height, width) of an image file as ``open_image`` gives it, read from its header alone.

    Raises:
        UserError: no image that can be read.
    """
    try:
        with Image.open(file) as image:
            turned = _orientation(image) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception as error:  # Decoders raise almost anything on damaged files.
        raise UserError(f"'{file}' is not an image that can be read ({error}).") from error


LOOKED_AT = 32
"""Of so many of some files it is looked at how many bits they use."""


def sampled_bits(files: Sequence[Path]) -> int:
    """The most bits that some image files use, of ``LOOKED_AT`` evenly spread; 0: they have 8."""
    step = -(-len(files) // LOOKED_AT) or 1
    return max(map(bits_in_use, files[::step]), default=0)


def bits_in_use(file: Path) -> int:
    """How many bits the numbers of an image file use: 10, 12, 14, 16 or more.

    Cameras, microscopes and scanners store 10 or 12 bits in 16 and mostly do not say so; the
    largest number tells.

    Returns:
        0 for images of 8 bits, of numbers up to 1, and those that cannot be read.
    """
    try:
        with Image.open(file) as image:
            if deep.is_colour(image) and image.format == "PNG":
                return deep.bits(float(deep.colour_numbers(file).max()))
            if not deep.is_grey(image):
                return 0
            largest = float(deep.numbers(image).max())
            return deep.bits(largest) if image.mode != "F" or largest > 255 else 0
    except Exception:  # Said when it is opened for good.
        return 0
