"""What a stranger may send: how many bytes, how many pixels, which formats, from which folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from stargan import imaging
from stargan.errors import UserError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""No format whose decoder starts other programs (EPS), and none that browsers never send."""


@dataclass(frozen=True)
class Limits:
    """Limits of one page.

    Attributes:
        megabytes: of an uploaded file.
        megapixels: of an uploaded image, checked before it is decoded.
        waiting: requests that may wait in the queue; more are told to come back.
        parallel: requests that are worked on at once.
        visits: visitors whose photo is remembered; the one idle longest is forgotten first.
        idle_minutes: after which a visitor's photo is forgotten, open page or not.
        file_minutes: after which a file is deleted that nobody asked about.
    """

    megabytes: float = 20
    megapixels: float = 50
    waiting: int = 32
    parallel: int = 2
    visits: int = 256
    idle_minutes: float = 60
    file_minutes: float = 5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            whole = name in ("waiting", "parallel", "visits")
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                kind = "a whole number" if whole else "a number"
                raise UserError(f"{name}={value} is not {kind}.")
            if value <= 0:
                raise UserError(f"{name}={value} is impossible: it must be above 0.")
        most = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        if 0 < most < self.megapixels:
            raise UserError(
                f"megapixels={self.megapixels:g} is impossible: Pillow opens at most {most:.0f}."
            )

    @property
    def bytes(self) -> int:
        """Of an uploaded file."""
        return int(self.megabytes * 2**20)


def uploaded_file(payload: Any, folder: Path) -> Path:
    """The file that a browser or client speaks of, which must lie in the upload folder.

    Args:
        payload: Gradio's description of a file, with ``path``.
        folder: where uploads are kept.

    Raises:
        UserError: no file was given, it lies elsewhere, or it is gone.
    """
    path = payload.get("path") if isinstance(payload, Mapping) else None
    if not isinstance(path, str) or not path:
        raise UserError("there is no photo: upload one first.")
    try:
        file = Path(path).resolve()
        inside = file.is_relative_to(folder.resolve())
        there = inside and file.is_file()
    except (OSError, ValueError):
        inside = there = False
    if not inside:
        raise UserError("that file was not uploaded here: upload the photo first.")
    if not there:
        raise UserError("the uploaded photo is gone: upload it again.")
    return file


def read_photo(file: Path, limits: Limits) -> Image.Image:
    """An uploaded photo as RGB, upright; nothing is decoded before its size is known to be safe.

    Raises:
        UserError: too large a file, too many pixels, no image, a damaged one. The sentence names
            no path: it is read by the visitor.
    """
    if file.stat().st_size > limits.bytes:
        raise UserError(
            f"This file is too large: {file.stat().st_size / 2**20:.1f} MB, "
            f"{limits.megabytes:g} MB are allowed."
        )
    try:
        with Image.open(file, formats=FORMATS) as header:
            width, height = header.size
    except Image.DecompressionBombError:
        raise UserError(_too_many("hundreds of millions", limits)) from None
    except UnidentifiedImageError:
        raise UserError(
            "This is not a picture that can be read: try a JPEG, PNG or WebP file."
        ) from None
    except Exception:  # Decoders raise almost anything on damaged files.
        raise UserError("This picture is damaged: try another file.") from None
    if width * height > limits.megapixels * 1e6:
        raise UserError(_too_many(f"{width} x {height}", limits))
    try:
        return imaging.open_image(file.read_bytes())
    except UserError:
        raise UserError("This picture is damaged or cut short: try another file.") from None


def _too_many(size: str, limits: Limits) -> str:
    return (
        f"This picture has too many pixels ({size}): "
        f"{limits.megapixels:g} million are allowed. Make it smaller first."
    )
