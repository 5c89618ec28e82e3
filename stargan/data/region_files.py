"""Boxes and masks of the user: where the labels are in the images of a data set on disk.

A text of boxes (CUB-200-2011's ``bounding_boxes.txt`` as it is, CelebA's ``list_bbox`` files, any
table with a header) or a folder of masks.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stargan.data.box_table import read_boxes
from stargan.data.files import files_below
from stargan.errors import UserError
from stargan.imaging.decode import EXTENSIONS, upright, upright_size
from stargan.imaging.regions import Box, Region
from stargan.labels import unknown_label

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
        UserError: a malformed line, a label that does not exist, no image that does; names file and
            line.
    """

    def __init__(
        self, path: Path, images: Images, names: Sequence[str], known: Sequence[str]
    ) -> None:
        self.path = path
        self._boxes: dict[Path, list[NamedBox]] = {}
        labels: set[str] = set()
        strange: list[str] = []
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
                strange.append(f"line {line}: '{name}'")
                continue
            self._boxes.setdefault(found, []).append(NamedBox(label, box, line))
            labels |= {label} if label is not None else set()
        count = sum(map(len, self._boxes.values()))
        if strange and not count:
            raise UserError(
                f"'{path}' names no image of '{images.base}' ({strange[0]} is none): correct the "
                "names."
            )
        if not count:
            raise UserError(f"'{path}' has no boxes below its header: add some.")
        if all(b.box.right <= 1 and b.box.bottom <= 1 for of in self._boxes.values() for b in of):
            raise UserError(
                f"the boxes of '{path}' look like shares of the image's sides: give them in pixels."
            )
        self.about = f"the boxes of {path.name} ({count:,} in all, {of_which(labels)})"
        self.about += left_out(strange)

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
        UserError: no masks, none that belongs to an image, two of the same, JPEG files.
    """

    def __init__(
        self, path: Path, images: Images, names: Sequence[str], known: Sequence[str]
    ) -> None:
        self.path = path
        self._masks: dict[tuple[Path, str | None], Path] = {}
        self._open: tuple[Path, NDArray[np.bool_]] | None = None
        labels: set[str] = set()
        strange: list[str] = []
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
                strange.append(f"'{file}'")
                continue
            if file.resolve() == image.resolve():
                raise UserError(f"'{file}' is an image, no mask: give the folder of the masks.")
            if label is not None and label not in names and label not in known:
                raise UserError(f"the mask '{file}': {unknown_label(label, list(names))}")
            if (image, label) in self._masks:
                other = self._masks[image, label]
                raise UserError(f"'{image}' has two masks, '{other}' and '{file}': remove one.")
            self._masks[image, label] = file
            labels |= {label} if label is not None else set()
        if strange and not self._masks:
            raise UserError(
                f"no mask in '{path}' has the name of an image in '{images.base}' ({strange[0]} "
                "has none): name them like their images."
            )
        if not self._masks:
            raise UserError(f"'{path}' holds no masks: give a folder of PNG files.")
        self.about = f"the masks of {path.name} ({len(self._masks):,} in all, {of_which(labels)})"
        self.about += left_out(strange)

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
                turned = upright(opened)
                array = np.asarray(turned) != 0
                bands = turned.getbands()
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


def left_out(strange: Sequence[str]) -> str:
    """Words on entries of images that are not there: a part of a data set has all its boxes."""
    return f"; {len(strange):,} of other images left out, first {strange[0]}" if strange else ""


def fingerprint(path: str | Path) -> str:
    """Something that changes when the boxes or masks do: from the files' sizes and times."""
    where = Path(path).expanduser()
    files = files_below(where) if where.is_dir() else [where]
    found = hashlib.sha256()
    for file in files:
        if file.exists():
            found.update(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return found.hexdigest()[:20]
