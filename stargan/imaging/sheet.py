"""Captioned sheets of images."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stargan.imaging.fonts import Font, font_for
from stargan.imaging.tensors import to_pil

_TILE = 96  # Captions stay readable below a tile of this many pixels.


_GAP = 8


_INK = (32, 32, 36)


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

    size = min(20, max(13, wide // 9))
    fonts = {title: font_for(title, size) for title in (*column_titles, *(row_titles or ()))}
    ascent, descent = (max(each) for each in zip(*map(_line, fonts.values()), strict=True))
    line = ascent + descent + 2
    heads, head_widths = [], []
    for title in column_titles:
        text, width = _wrap(title, fonts[title], wide)
        heads.append(text)
        head_widths.append(max(wide, width))
    sides: list[list[str]] = []
    side_width = 0
    for title in row_titles or ():
        text, width = _wrap(title, fonts[title], max(wide, _TILE))
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

    def write(title: str, text: Sequence[str], x: int, y: int, width: int) -> None:
        font = fonts[title]
        for i, words in enumerate(text):
            inset = (width - math.ceil(font.getlength(words))) // 2
            draw.text((x + inset, y + i * line + ascent), words, fill=_INK, font=font, anchor="ls")

    x = left
    for title, text, width in zip(column_titles, heads, head_widths, strict=True):
        write(title, text, x, _GAP + head - len(text) * line, width)
        x += width + _GAP
    y = top
    for i, (row, height) in enumerate(zip(tiles, heights, strict=True)):
        if sides and row_titles is not None:
            write(
                row_titles[i], sides[i], _GAP, y + (height - len(sides[i]) * line) // 2, side_width
            )
        x = left
        for tile, width in zip(row, head_widths, strict=False):
            sheet.paste(tile, (x + (width - tile.width) // 2, y + (height - tile.height) // 2))
            x += width + _GAP
        y += height + _GAP
    return sheet


def _line(font: Font) -> tuple[int, int]:
    """Pixels above and below the baseline of a font."""
    if isinstance(font, ImageFont.FreeTypeFont):
        return font.getmetrics()
    return 11, 3  # Pillow without FreeType: its one bitmap font.


def _wrap(text: str, font: Font, width: int) -> tuple[list[str], int]:
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


def _short_pieces(pieces: Iterable[str], font: Font, limit: int) -> Iterable[str]:
    for piece in pieces:
        if font.getlength(piece.rstrip()) <= limit:
            yield piece
        else:
            yield from piece  # Letter by letter: the caller fills the lines.
