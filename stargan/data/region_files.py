"""Boxes and masks of the user: where the labels are in the images of a data set on disk.

A text of boxes (CUB-200-2011's ``bounding_boxes.txt`` as it is, CelebA's ``list_bbox`` files, any
table with a header) or a folder of masks.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stargan.contracts import UserError
from stargan.data.files import files_below
from stargan.images import EXTENSIONS, upright_size
from stargan.labels import unknown_label
from stargan.regions import Box, Region

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
LOSSY = (".jpg", ".jpeg", ".jfif", ".jpe", ".jp2")


class NamedBox(NamedTuple):
    """A line of a text of boxes; ``label`` None: of every label."""

    label: str | None
    box: Box
    line: int


class RegionFiles(ABC):
    """Regions of image files.

    Attributes:
        path: of the text or the folder.
        about: what they are, see ``RegionImages.about_regions``.
    """

    path: Path
    about: str

    @abstractmethod
    def region(self, image: Path, label: str) -> Region | None:
        """The region of a label in an image file; None where nothing is given.

        Raises:
            UserError: it does not fit the image.
        """


class Images:
    """The image files of a data set, found by the names that people write for them.

    A name may have folders in front, as many as it takes to be the only one, and its extension or
    not.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self._by_stem: dict[str, list[Path]] = {}
        for path in files_below(base):
            self._by_stem.setdefault(path.stem, []).append(path)

    def find(self, name: str) -> Path | None:
        """The file that a name means; None where there is none.

        Raises:
            UserError: several.
        """
        written = PurePosixPath(name.replace("\\", "/"))
        stem = written.stem if written.suffix.lower() in EXTENSIONS else written.name
        folders = tuple(p for p in written.parts[:-1] if p != "/")
        found = [
            path
            for path in self._by_stem.get(stem, [])
            if not folders or path.absolute().parts[-1 - len(folders) : -1] == folders
        ]
        if len(found) > 1:
            found = [p for p in found if p.name == written.name] or found
        if len(found) > 1:
            raise UserError(
                f"'{name}' may be '{found[0]}' or '{found[1]}': write the folders in front of it."
            )
        return found[0] if found else None


class BoxFile(RegionFiles):
    """A text of boxes, in pixels of the upright, uncropped images.

    Comma, semicolon, tab or spaces between the columns, which a header names: image, label (may
    be missing or empty: every label), left, top and width, height or right, bottom. A line with
    nothing but a number may come before it, as in CelebA's files. Without a header: CUB-200-2011's
    number, x, y, width, height beside an ``images.txt`` of numbers and names.

    Args:
        path: the file.
        images: of all splits.
        names: the labels in use.
        known: all labels that the data have; those not in use are passed over.

    Raises:
        UserError: a malformed line, a label or an image that does not exist; names file and line.
    """

    def __init__(
        self, path: Path, images: Images, names: Sequence[str], known: Sequence[str]
    ) -> None:
        self.path = path
        self._boxes: dict[Path, list[NamedBox]] = {}
        labels: set[str] = set()
        found: Path | None
        last, found = "", None
        for line, name, label, box in read_boxes(path):
            where = f"'{path}', line {line}"
            if label is not None and label not in names and label not in known:
                raise UserError(f"{where}: {unknown_label(label, list(names))}")
            if name != last:
                try:
                    last, found = name, images.find(name)
                except UserError as error:
                    raise UserError(f"{where}: {error}") from error
            if found is None:
                raise UserError(
                    f"{where}: there is no image '{name}' in '{images.base}': correct the name, or "
                    "remove the line."
                )
            self._boxes.setdefault(found, []).append(NamedBox(label, box, line))
            labels |= {label} if label is not None else set()
        count = sum(map(len, self._boxes.values()))
        if not count:
            raise UserError(f"'{path}' has no boxes below its header: add some.")
        if all(b.box.right <= 1 and b.box.bottom <= 1 for of in self._boxes.values() for b in of):
            raise UserError(
                f"the boxes of '{path}' look like shares of the image's sides: give them in pixels."
            )
        self.about = f"the boxes of {path.name} ({count:,} in all, {of_which(labels)})"

    def region(self, image: Path, label: str) -> Region | None:
        """See ``RegionFiles``."""
        found = [b for b in self._boxes.get(image, ()) if b.label in (None, label)]
        if not found:
            return None
        size = upright_size(image)
        whole = Box(0, 0, *size)
        for _, box, line in found:
            if 2 * box.within(whole).area < box.area:
                raise UserError(
                    f"'{self.path}', line {line}: most of the box lies outside of '{image}' of "
                    f"{size[1]}x{size[0]} pixels (width x height): give the boxes of these very "
                    "images, not of larger or of uncropped ones."
                )
        return Region(size, tuple(b.box.within(whole) for b in found))


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


class MaskFolder(RegionFiles):
    """Masks in a folder, named as their images: what is not 0 (or transparent) is the region.

    ``FOLDER/NAME.png``, with the image's folders in front where the names alone do not tell images
    apart, is of every label; ``FOLDER/LABEL/...`` of that label.

    Args:
        path: the folder.
        images: of all splits.
        names: the labels in use.
        known: all labels that the data have; those not in use are passed over.

    Raises:
        UserError: no masks, one that belongs to no image, two of the same, JPEG files.
    """

    def __init__(
        self, path: Path, images: Images, names: Sequence[str], known: Sequence[str]
    ) -> None:
        self.path = path
        self._masks: dict[tuple[Path, str | None], Path] = {}
        self._open: tuple[Path, NDArray[np.bool_]] | None = None
        labels: set[str] = set()
        for file in files_below(path):
            if file.suffix.lower() in LOSSY:
                raise UserError(
                    f"the mask '{file}' is compressed with loss, so that its zeros are none: save "
                    "masks as PNG."
                )
            whole = file.relative_to(path)
            label: str | None = None
            try:
                image = images.find(whole.as_posix())
                if image is None and len(whole.parts) > 1:
                    inner = whole.relative_to(whole.parts[0])
                    image, label = images.find(inner.as_posix()), whole.parts[0]
            except UserError as error:
                raise UserError(f"the mask '{file}': {error}") from error
            if image is None:
                raise UserError(
                    f"the mask '{file}' has the name of no image in '{images.base}': name it like "
                    "its image, or remove it."
                )
            if file.resolve() == image.resolve():
                raise UserError(f"'{file}' is an image, no mask: give the folder of the masks.")
            if label is not None and label not in names and label not in known:
                raise UserError(f"the mask '{file}': {unknown_label(label, list(names))}")
            if (image, label) in self._masks:
                other = self._masks[image, label]
                raise UserError(f"'{image}' has two masks, '{other}' and '{file}': remove one.")
            self._masks[image, label] = file
            labels |= {label} if label is not None else set()
        if not self._masks:
            raise UserError(f"'{path}' holds no masks: give a folder of PNG files.")
        self.about = f"the masks of {path.name} ({len(self._masks):,} in all, {of_which(labels)})"

    def region(self, image: Path, label: str) -> Region | None:
        """See ``RegionFiles``."""
        files = [self._masks[k] for k in ((image, label), (image, None)) if k in self._masks]
        if not files:
            return None
        masks = [self._read(file, image) for file in files]
        return Region.of_mask(np.any(masks, axis=0))

    def _read(self, file: Path, image: Path) -> NDArray[np.bool_]:
        if self._open is not None and self._open[0] == file:
            return self._open[1]  # The labels of an image come one after another.
        try:
            with Image.open(file) as opened:
                upright = ImageOps.exif_transpose(opened)
                array = np.asarray(upright) != 0
                bands = upright.getbands()
        except Exception as error:  # Decoders raise almost anything on damaged files.
            raise UserError(f"the mask '{file}' cannot be read ({error}): replace it.") from error
        if array.ndim == 3:
            colour = array[..., : len(bands) - ("A" in bands)].any(2)
            array = colour & array[..., -1] if "A" in bands else colour
        size = upright_size(image)
        if array.shape != size:
            raise UserError(
                f"the mask '{file}' has {array.shape[1]}x{array.shape[0]} pixels (width x height), "
                f"its image '{image}' {size[1]}x{size[0]}: make the mask as large as the image."
            )
        self._open = (file, array)
        return array


def open_regions(
    path: str | Path, base: Path, names: Sequence[str], known: Sequence[str]
) -> RegionFiles:
    """The boxes or masks of a data set.

    Args:
        path: a text of boxes or a folder of masks.
        base: the folder of the images of all splits.
        names: the labels in use.
        known: all labels that the data have.

    Raises:
        UserError: there is no such file, see ``BoxFile`` and ``MaskFolder``.
    """
    where = Path(path).expanduser()
    if not where.exists():
        raise UserError(
            f"the regions '{where}' do not exist: give a text of boxes or a folder of masks."
        )
    kind = MaskFolder if where.is_dir() else BoxFile
    return kind(where, Images(base), names, known)


def of_which(labels: Collection[str]) -> str:
    """Of which labels there are regions; of none: without labels."""
    if not labels:
        return "the same for every label"
    return f"of {len(labels)} label{'s' * (len(labels) > 1)}"


def fingerprint(path: str | Path) -> str:
    """Something that changes when the boxes or masks do: from the files' sizes and times."""
    where = Path(path).expanduser()
    files = files_below(where) if where.is_dir() else [where]
    found = hashlib.sha256()
    for file in files:
        if file.exists():
            found.update(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return found.hexdigest()[:20]
