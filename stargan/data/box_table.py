"""Reading a text of boxes, as people write them, line by line."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from stargan.errors import UserError
from stargan.imaging.regions import Box

COLUMNS = {
    "image": ("image", "imageid", "imagename", "file", "filename", "name", "path"),
    "label": ("label", "class", "classname", "category"),
    "left": ("left", "x0", "x", "x1", "xmin"),
    "top": ("top", "y0", "y", "y1", "ymin"),
    "right": ("right", "x2", "xmax", "x1"),
    "bottom": ("bottom", "y2", "ymax", "y1"),
    "width": ("width", "w"),
    "height": ("height", "h"),
}
"""What a column may be called, in small letters, without ``_``, ``-`` and spaces."""

HEADER = "image,label,left,top,width,height"


def read_boxes(path: Path) -> Iterator[tuple[int, str, str | None, Box]]:
    """Line number, image, label (None: every label) and box of each line of a text of boxes.

    Raises:
        UserError: see ``BoxFile``.
    """
    rows = list(table(path))
    if rows and len(rows[0][1]) == 1 and rows[0][1][0].isdecimal():
        del rows[0]  # CelebA's count
    if not rows:
        raise UserError(f"'{path}' is empty: give a header, {HEADER}, and a line per box.")
    titles: dict[str, str] = {}
    if all(map(is_number, rows[0][1][-4:])):
        titles = cub_names(path, rows[0])
        place = {"image": 0, "left": 1, "top": 2, "width": 3, "height": 4}
        wide = 5
    else:
        place, wide = columns(path, *rows.pop(0))
    sides = [k for k in ("left", "top", "right", "bottom", "width", "height") if k in place]
    for line, fields in rows:
        where = f"'{path}', line {line}"
        if len(fields) != wide:
            raise UserError(f"{where}: {wide} fields are needed, found {len(fields)}.")
        values: dict[str, float] = {}
        for key in sides:
            if not is_number(fields[place[key]]):
                raise UserError(f"{where}: '{fields[place[key]]}' for {key} is no number.")
            values[key] = float(fields[place[key]])
        left, top = values["left"], values["top"]
        right = values.get("right", left + values.get("width", 0))
        bottom = values.get("bottom", top + values.get("height", 0))
        if right <= left or bottom <= top:
            raise UserError(f"{where}: the box is nowhere wide or high: correct or remove it.")
        name = fields[place["image"]]
        if titles:
            if name not in titles:
                raise UserError(f"{where}: images.txt beside it has no image {name}.")
            name = titles[name]
        label = fields[place["label"]] if "label" in place else ""
        yield line, name, label or None, Box(top, left, bottom, right)


def table(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each line that is not blank, without spaces around the fields.

    Raises:
        UserError: not a text that can be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"'{path}' cannot be read as a text of boxes: give a table or a folder of masks."
        ) from error
    first = next((x for x in lines if x.strip() and not x.strip().isdecimal()), "")
    mark = next((m for m in ",;\t" if m in first), None)
    for number, line in enumerate(lines, 1):
        fields = next(csv.reader([line], delimiter=mark), []) if mark else line.split()
        if any(f.strip() for f in fields):
            yield number, [f.strip() for f in fields]


def is_number(text: str) -> bool:
    """Whether a field is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def columns(path: Path, line: int, header: Sequence[str]) -> tuple[dict[str, int], int]:
    """Where each column is, and how many there are.

    ``x1`` is the left side, and of a pair ``x0``, ``x1`` the right one. Next to right and bottom,
    width and height are those of the image and not needed.

    Raises:
        UserError: one is missing.
    """
    names = [re.sub(r"[\s_-]", "", h).lower() for h in header]
    place: dict[str, int] = {}
    for key, known in COLUMNS.items():
        found = next((n for n in known if n in names and names.index(n) not in place.values()), "")
        if found:
            place[key] = names.index(found)
    ends = ("right", "bottom") if "right" in place else ("width", "height")
    missing = [key for key in ("image", "left", "top", *ends) if key not in place]
    if missing:
        raise UserError(
            f"'{path}', line {line}: the header has no {', '.join(missing)}: write one such "
            f"as {HEADER} (or right,bottom for width,height; label may be left out)."
        )
    if "right" in ends:
        place = {k: v for k, v in place.items() if k not in ("width", "height")}
    return place, len(header)


def cub_names(path: Path, first: tuple[int, list[str]]) -> dict[str, str]:
    """Number to name of the images of CUB-200-2011.

    Raises:
        UserError: the text without a header is not CUB's.
    """
    file = path.with_name("images.txt")
    if len(first[1]) != 5 or not file.is_file():
        raise UserError(
            f"'{path}', line {first[0]}: there is no header: write {HEADER} above it, with the "
            "columns in their order."
        )
    names: dict[str, str] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        number, _, name = line.strip().partition(" ")
        names[number] = name
    return names
