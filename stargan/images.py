"""Images: files <-> PIL <-> tensors in [-1, 1], crop and resize, captioned sheets.

The only place that knows how a photo becomes what a network sees, so that training, evaluation
and translation can never disagree on it.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import ExifTags, Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from torch import Tensor

from stargan.contracts import UserError
from stargan.writing import whole

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

CROP_TOLERANCE = 1.25
"""How much larger than the training's crop a photo may be and still be framed like its photos."""

_TILE = 96  # Captions stay readable below a tile of this many pixels.
_GAP = 8
_INK = (32, 32, 36)


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


def crop_resize(image: Image.Image, size: tuple[int, int], crop: int | None = None) -> Image.Image:
    """Centre crop, then PIL's (antialiased) bilinear resize to exactly ``size``.

    Args:
        image: RGB.
        size: ``(height, width)`` of the result.
        crop: side of the square centre crop in pixels (CelebA: 178); None: the largest centre
            crop of the aspect ratio of ``size``.

    Raises:
        UserError: the crop is larger than the image. It is never padded with black.
    """
    top, left, bottom, right = crop_window((image.height, image.width), size, crop)
    image = image.crop((left, top, right, bottom))
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)


def crop_window(
    image: tuple[int, int], size: tuple[int, int], crop: int | None = None
) -> tuple[int, int, int, int]:
    """What ``crop_resize`` cuts out of an image of (height, width): top, left, bottom, right.

    Bottom and right are the first row and column outside.

    Raises:
        UserError: see ``crop_resize``.
    """
    height, width = size
    if height < 1 or width < 1:
        raise UserError(f"image size {height}x{width} is impossible: both must be at least 1.")
    if crop is None:
        shrink = min(image[0] / height, image[1] / width)
        tall = min(image[0], max(1, round(height * shrink)))
        wide = min(image[1], max(1, round(width * shrink)))
    else:
        if crop < 1:
            raise UserError(f"crop={crop} is impossible: it must be at least 1 pixel.")
        if crop > min(image):
            raise UserError(
                f"crop={crop} is larger than an image of {image[1]}x{image[0]} pixels "
                "(width x height): lower the crop, or leave it out to take the largest that fits."
            )
        tall = wide = crop
    top = round((image[0] - tall) / 2)
    left = round((image[1] - wide) / 2)
    return top, left, top + tall, left + wide


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


def frame(image: Image.Image, size: tuple[int, int], crops: Iterable[int | None]) -> Image.Image:
    """A photo as a trained network sees it: RGB, upright, cropped, of the network's image size.

    The rule, here and nowhere else: a photo that is framed like the training's (its shorter
    side is from 1 to 1.25 times the training's crop) gets that same centre crop. Any other
    photo gets the largest centre crop of the network's aspect ratio, since a crop in pixels
    says nothing of a photo of another size.

    Args:
        image: any PIL image.
        size: ``(height, width)`` of the result.
        crops: the training's centre crops in pixels, None for the largest.
    """
    image = to_rgb(image)
    side = min(image.size)
    fits = (c for c in crops if c and c <= side <= CROP_TOLERANCE * c)
    return crop_resize(image, size, next(fits, None))


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
    return Image.frombytes(mode, (width, height), _bytes(to_uint8(image).permute(1, 2, 0)))


def natural_key(name: str) -> list[tuple[int, str]]:
    """A sorting key that puts ``img2`` before ``img10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part.lower())
        for part in re.split(r"(\d+)", name)
        if part
    ]


def image_files(path: str | Path) -> list[Path]:
    """The images of a folder in natural order (hidden files left out), or the one file named.

    Raises:
        UserError: nothing there, or a folder without images.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"'{path}' does not exist: give an image or a folder of images.")
    try:
        found = [
            p
            for p in path.iterdir()
            if p.suffix.lower() in EXTENSIONS and not p.name.startswith(".") and p.is_file()
        ]
    except OSError as error:
        raise UserError(f"the folder '{path}' may not be read: change its permissions.") from error
    if not found:
        raise UserError(
            f"no image is in the folder '{path}' (its subfolders are not searched): "
            "give an image or a folder of images."
        )
    return sorted(found, key=lambda p: (natural_key(p.name), p.name))


def grid(
    rows: Sequence[Sequence[Tensor | Image.Image]],
    column_titles: Sequence[str],
    row_titles: Sequence[str] | None = None,
    scale: float | None = None,
) -> Image.Image:
    """A captioned sheet of images on white. No caption is ever cut or runs into its neighbour.

    Long captions are wrapped; a column grows, up to twice its tile, for a long word.

    Args:
        rows: images, PIL or ``(C, H, W)`` in [-1, 1]; a short row leaves blanks at its end.
        column_titles: one caption per column.
        row_titles: one caption per row, on its left.
        scale: how much larger tiles are drawn; None enlarges tiny images to about 96 pixels.

    Raises:
        ValueError: no image, or captions that do not match the rows and columns.
    """
    tiles = [[t if isinstance(t, Image.Image) else to_pil(t) for t in row] for row in rows]
    columns = max((len(row) for row in tiles), default=0)
    if not columns:
        raise ValueError("a grid needs at least one image")
    if len(column_titles) != columns:
        raise ValueError(f"{columns} columns, but {len(column_titles)} column titles")
    if row_titles is not None and len(row_titles) != len(tiles):
        raise ValueError(f"{len(tiles)} rows, but {len(row_titles)} row titles")
    wide = max(t.width for row in tiles for t in row)
    tall = max(t.height for row in tiles for t in row)
    if scale is None:
        scale = max(1, math.ceil(_TILE / min(wide, tall)))
    if scale != 1:
        tiles = [
            [
                t.resize(
                    (max(1, round(t.width * scale)), max(1, round(t.height * scale))),
                    Image.Resampling.LANCZOS,
                )
                for t in row
            ]
            for row in tiles
        ]
        wide = max(t.width for row in tiles for t in row)
        tall = max(t.height for row in tiles for t in row)

    font = ImageFont.load_default(min(20, max(13, wide // 9)))
    ascent, descent = _line(font)
    line = ascent + descent + 2
    heads, head_widths = [], []
    for title in column_titles:
        text, width = _wrap(title, font, wide)
        heads.append(text)
        head_widths.append(max(wide, width))
    sides: list[list[str]] = []
    side_width = 0
    for title in row_titles or ():
        text, width = _wrap(title, font, max(wide, _TILE))
        sides.append(text)
        side_width = max(side_width, width)

    head = max(len(text) for text in heads) * line
    heights = [max(tall, len(text) * line) for text in sides] or [tall] * len(tiles)
    left = _GAP + (side_width + _GAP if side_width else 0)
    top = _GAP + (head + _GAP // 2 if any(column_titles) else 0)
    sheet = Image.new(
        "RGB",
        (left + sum(w + _GAP for w in head_widths), top + sum(h + _GAP for h in heights)),
        "white",
    )
    draw = ImageDraw.Draw(sheet)

    def write(text: Sequence[str], x: int, y: int, width: int) -> None:
        for i, words in enumerate(text):
            inset = (width - math.ceil(font.getlength(words))) // 2
            draw.text((x + inset, y + i * line + ascent), words, fill=_INK, font=font, anchor="ls")

    x = left
    for text, width in zip(heads, head_widths, strict=True):
        write(text, x, _GAP + head - len(text) * line, width)
        x += width + _GAP
    y = top
    for i, (row, height) in enumerate(zip(tiles, heights, strict=True)):
        if sides:
            write(sides[i], _GAP, y + (height - len(sides[i]) * line) // 2, side_width)
        x = left
        for tile, width in zip(row, head_widths, strict=False):
            sheet.paste(tile, (x + (width - tile.width) // 2, y + (height - tile.height) // 2))
            x += width + _GAP
        y += height + _GAP
    return sheet


def _line(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> tuple[int, int]:
    """Pixels above and below the baseline of a font."""
    if isinstance(font, ImageFont.FreeTypeFont):
        return font.getmetrics()
    return 11, 3  # Pillow without FreeType: its one bitmap font.


def _wrap(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> tuple[list[str], int]:
    """Lines of a caption and the width of the widest.

    Breaks after spaces, commas, '=', '_' and '-'; a single piece may reach twice ``width``, and
    only then is it broken between letters.
    """
    pieces = re.findall(r"[^\s,=_-]*[\s,=_-]?", " ".join(text.split()))
    widest = max((math.ceil(font.getlength(p.rstrip())) for p in pieces), default=0)
    limit = max(width, min(widest, 2 * width))
    lines = [""]
    for piece in _short_pieces(pieces, font, limit):
        if lines[-1] and font.getlength((lines[-1] + piece).rstrip()) > limit:
            lines.append("")
        lines[-1] += piece
    lines = [line.rstrip() for line in lines]
    return lines, max(math.ceil(font.getlength(line)) for line in lines)


def _short_pieces(
    pieces: Iterable[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, limit: int
) -> Iterable[str]:
    for piece in pieces:
        if font.getlength(piece.rstrip()) <= limit:
            yield piece
        else:
            yield from piece  # Letter by letter: the caller fills the lines.


def save_png(image: Image.Image, path: str | Path) -> None:
    """Write a PNG whole or not at all; makes the folder. An interrupted write leaves no half file.

    Raises:
        UserError: the place cannot be written to.
    """
    _save(image, Path(path), format="PNG")


def save_animation(
    frames: Sequence[Image.Image], path: str | Path, seconds: float = 0.2, last: float = 2.0
) -> None:
    """Write a GIF that starts again and again, whole or not at all.

    Args:
        frames: at least one, all of one size.
        path: the file.
        seconds: how long a frame is shown.
        last: how long the last one is.

    Raises:
        UserError: the place cannot be written to.
    """
    times = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * last)]
    _save(
        frames[0],
        Path(path),
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=times,
        loop=0,
    )


def _save(image: Image.Image, path: Path, **how: Any) -> None:
    with whole(path) as part, part.open("xb") as file:
        image.save(file, **how)
