"""Images: files, framing, tensors, sheets; regions of labels."""

from __future__ import annotations

from stargan.imaging.decode import EXTENSIONS, open_image, sampled_bits, to_rgb, upright_size
from stargan.imaging.files import image_files, left_out, natural_key
from stargan.imaging.framing import (
    CROP_TOLERANCE,
    crop_resize,
    crop_window,
    frame,
    framed_otherwise,
    framing_words,
)
from stargan.imaging.saving import save_animation, save_png
from stargan.imaging.sheet import grid
from stargan.imaging.tensors import to_float, to_pil, to_tensor, to_uint8

__all__ = [
    "CROP_TOLERANCE",
    "EXTENSIONS",
    "crop_resize",
    "crop_window",
    "frame",
    "framed_otherwise",
    "framing_words",
    "grid",
    "image_files",
    "left_out",
    "natural_key",
    "open_image",
    "save_animation",
    "save_png",
    "to_float",
    "to_pil",
    "sampled_bits",
    "to_rgb",
    "to_tensor",
    "to_uint8",
    "upright_size",
]
