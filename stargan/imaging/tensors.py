"""PIL <-> tensors in [-1, 1] <-> uint8: the only place that scales."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from stargan.imaging.deep import raw_bytes


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image as ``(3, H, W)`` float32 in [-1, 1]."""
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    pixels = pixels.view(image.height, image.width, 3)
    return to_float(pixels.permute(2, 0, 1).contiguous())


def to_float(pixels: Tensor) -> Tensor:
    """uint8 as float32 in [-1, 1], ``value / 127.5 - 1``, on whatever device it is.

    Raises:
        TypeError: not uint8, so that nothing is converted twice.
    """
    if pixels.dtype != torch.uint8:
        raise TypeError(f"images of 8 bits per channel are expected, not {pixels.dtype}.")
    # Divided by a tensor: a plain number would become a multiplication by its inverse on CUDA,
    # which differs in the last bit.
    divisor = torch.full((), 127.5, device=pixels.device)
    return pixels.float().div_(divisor).sub_(1)


def to_uint8(image: Tensor) -> Tensor:
    """``(..., H, W)`` in [-1, 1] as uint8: clamped, rounded to the nearest; NaN becomes black."""
    image = image.detach().float().nan_to_num(nan=-1)
    return image.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def to_pil(image: Tensor) -> Image.Image:
    """``(3, H, W)`` in [-1, 1] as RGB, ``(1, H, W)`` as grey. See ``to_uint8``."""
    planes, height, width = image.shape
    mode = "L" if planes == 1 else "RGB"
    return Image.frombytes(mode, (width, height), raw_bytes(to_uint8(image).permute(1, 2, 0)))
