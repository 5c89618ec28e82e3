"""Images of more than 8 bits, as 8 bits: scaled by the bits in use, not by those of the format."""

from __future__ import annotations

import ctypes
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from stargan.errors import UserError

_DEPTHS = (8, 10, 12, 14, 16)
_TIFF_BITS = 258  # The tag BitsPerSample.


def bits(largest: float) -> int:
    """The bits that hold the largest number of an image, of those that devices have."""
    return next((b for b in _DEPTHS if largest < 2**b), max(17, int(largest).bit_length()))


def is_grey(image: Image.Image) -> bool:
    """Whether an image is grey of 16 bits, 32 bits or floating point."""
    return image.mode == "F" or image.mode.startswith("I")


def is_colour(image: Image.Image) -> bool:
    """Whether an image just opened, not yet loaded, has 16 bits a channel and several channels.

    Pillow keeps the upper eight of them, which are black where 10 or 12 are in use.
    """
    if image.mode not in ("RGB", "RGBA", "RGBX", "LA"):
        return False
    depth = getattr(image, "tag_v2", {}).get(_TIFF_BITS, ())
    if isinstance(depth, tuple) and max(depth, default=8) > 8:
        return True
    tile = getattr(image, "tile", None) or [()]
    return any(isinstance(word, str) and ";16" in word for word in tile[0])


def numbers(grey: Image.Image) -> Tensor:
    """``(H * W,)`` float32; what is no number is 0."""
    data = bytearray(grey.convert("F").tobytes())
    return torch.frombuffer(data, dtype=torch.float32).nan_to_num(0.0, 0.0, 0.0)


def to_8_bit(grey: Image.Image, least: int = 0) -> Image.Image:
    """Grey of more than 8 bits, or float in [0, 1] or [0, 255], as 8 bits.

    Pillow's own conversion clips at 255 and so turns 16-bit scans white.

    Args:
        least: so many bits are in use at least.

    Raises:
        UserError: numbers below zero: what is black is not known.
    """
    pixels = numbers(grey)
    if pixels.numel() and pixels.min() < 0:
        raise UserError(
            "an image with numbers below zero has no black that is known: save it with 8 bits, "
            "or with 16 from 0 on."
        )
    largest = pixels.max().item() if pixels.numel() else 0.0
    if grey.mode == "F" and largest <= 255 and not least:
        factor = 255.0 if largest <= 1 else 1.0
    else:
        factor = 255 / (2 ** max(least, bits(largest)) - 1)
    return Image.frombytes("L", grey.size, raw_bytes(_scaled(pixels, factor)))


def colour_numbers(file: Path | BytesIO) -> Tensor:
    """``(C, H, W)`` float32 of a PNG of 16 bits a channel."""
    # Only for the rare file that needs it: translating needs no torchvision.
    from torchvision.io import ImageReadMode, decode_png

    data = file.read_bytes() if isinstance(file, Path) else file.getvalue()
    raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return decode_png(raw, ImageReadMode.UNCHANGED).float()


def colour(image: Image.Image, file: Path | BytesIO, least: int = 0) -> Image.Image:
    """An image of 16 bits a channel with 8; transparency of a PNG is laid on white.

    Args:
        image: just opened.
        file: the same file.
        least: so many bits are in use at least.

    Raises:
        UserError: another format than PNG, of which Pillow has kept hardly any bits in use.
    """
    if image.format != "PNG":
        image.load()
        upper = max(high for _, high in _ranges(image.convert("RGB")))
        if upper and bits(256 * upper) < 16:
            raise UserError(
                f"an image of 16 bits a channel that uses {bits(256 * upper)} of them can be read "
                f"as PNG, and not as {image.format}: save it as PNG, or with 8 bits."
            )
        return image
    pixels = colour_numbers(file)
    shown, alpha = (pixels, None) if len(pixels) == 3 else (pixels[:-1], pixels[-1:] / 65535)
    # What cannot be seen may be of any colour.
    largest = float((shown if alpha is None else shown * (alpha > 0)).max())
    shown = (shown / (2 ** max(least, bits(largest)) - 1)).clamp(0, 1)
    if alpha is not None:
        shown = shown * alpha + (1 - alpha)
    rgb = shown.expand(3, -1, -1).permute(1, 2, 0)
    return Image.frombytes("RGB", image.size, raw_bytes(_scaled(rgb, 255.0)))


def _ranges(image: Image.Image) -> list[tuple[int, int]]:
    """The smallest and the largest number of each channel."""
    found = image.getextrema()
    return [pair for pair in found if isinstance(pair, tuple)]


def _scaled(values: Tensor, factor: float) -> Tensor:
    return (values * factor).round().clamp(0, 255).to(torch.uint8)


def raw_bytes(values: Tensor) -> bytes:
    """The memory of a uint8 tensor. Not through NumPy, which nothing here needs."""
    values = values.cpu().contiguous()
    return ctypes.string_at(values.data_ptr(), values.numel())
