"""RaFD: 67 people, 8 expressions, 3 gazes, 5 cameras (Langner et al., 2010).

Private: its owners give it to researchers who ask.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from stargan.data.class_folders import (
    check_split,
    class_files,
    class_names,
    labeled_by_class,
    split_names,
)
from stargan.data.files import existing_folder, files_in, folders_in
from stargan.data.image_folder import FileImages
from stargan.data.splits import TEST_SHARE
from stargan.errors import UserError
from stargan.imaging.regions import Box, Region
from stargan.labels import LabelSpace, unknown_label
from stargan.writing import write_whole

ORIGINAL = (1024, 681)
"""Height and width of the images as they are shipped."""
MIDDLE = (400, 340)
"""Row and column of the middle of the face in them: the makers have aligned the faces. Neither the
paper nor its code says where it is; this is the middle of the square that a public script cuts out
of them (columns 30 to 651, rows 90 to 711)."""
_NAME = re.compile(
    r"Rafd(?P<angle>\d+)_(?P<person>\d+)_[^_]+_[^_]+_(?P<expression>[^_]+)_[^_.]+", re.IGNORECASE
)


class RaFD(FileImages):
    """RaFD as it is shipped (one folder of files) or sorted into class folders.

    Original names are like ``Rafd090_01_Caucasian_female_angry_frontal.jpg``. Class folders may
    hold files of any name, with or without ``train/``, ``test/`` and ``val/`` around them. Classes
    are in alphabetical order, which for the eight expressions is the paper's.

    Args:
        root: the folder.
        split: "train" or "test", or "val" where there is such a folder.
        seed: of the random tenth that is the test split.
        by: "image" (the paper: the same people in both splits) or "person" (nobody in both, the
            honest test of translating strangers; needs the original names).
        angles: camera angles in degrees to keep of files with original names (the paper: 45, 90,
            135).
        write_split: write the split to this text file, one ``train NAME`` or ``test NAME`` a line.
        regions: a text of boxes or a folder of masks, see ``region_files``.
        face: side of the square around the face that is cut out of the original images, of which
            ``MIDDLE`` is the middle; 256 in the paper. None: images are taken whole.

    Raises:
        UserError: a missing folder, a square that leaves the originals, no file of the naming
            pattern, a split by person of files that do not name the person, or whatever
            ``ImageFolder`` refuses.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        labels: Sequence[str] | None = None,
        seed: int = 1234,
        by: str = "image",
        angles: Sequence[int] = (45, 90, 135),
        write_split: str | Path | None = None,
        regions: str | Path | None = None,
        face: int | None = None,
    ) -> None:
        check_split(split)
        self._face = None if face is None else face_window(face)
        if by not in ("image", "person"):
            raise UserError(f"a split of RaFD by '{by}' is unknown: choose image or person.")
        base = existing_folder(root)
        notes: list[str] = []
        if folders_in(base):
            files, is_split, notes = class_files(
                base, split, None if labels is None else list(labels)
            )
            known = class_names(base)
        else:
            if split == "val":
                raise UserError(f"'{base}' has no split val: choose train or test.")
            files, notes = _by_name(base, angles)
            known = sorted(files)
            if labels is not None:
                unknown = next((name for name in labels if name not in files), None)
                if unknown is not None:
                    raise UserError(unknown_label(unknown, sorted(files)))
                files = {name: files[name] for name in labels}
            is_split = False
        if is_split:
            if by == "person":
                raise UserError(
                    f"'{base}' is split into folders already, so by=person cannot be kept: "
                    "give a folder without train/ and test/."
                )
            if write_split is not None:
                raise UserError(f"'{base}' is split into folders already: leave write_split out.")
        else:
            test = _draw(files, by, seed, base)
            if write_split is not None:
                _write(Path(write_split), files, test)
            files = {
                c: [p for p in paths if (p in test) == (split == "test")]
                for c, paths in files.items()
            }
        space = LabelSpace(sorted(files), categorical=True, name="rafd")
        ordered = {c: files[c] for c in space.names}
        super().__init__(
            space,
            *labeled_by_class(ordered),
            where=f"{base} ({split})",
            notes=notes,
            regions=regions,
            base=base,
            known=known,
        )
        self.splits = split_names(base)

    def load(self, index: int) -> Image.Image:
        """The image, or the face in it. Raises ``UserError`` too where it is no original."""
        image = super().load(index)
        if self._face is None:
            return image
        if (image.height, image.width) != ORIGINAL:
            raise UserError(
                f"'{self.paths[index]}' has {image.width} x {image.height} pixels, RaFD's "
                f"originals have {ORIGINAL[1]} x {ORIGINAL[0]}: only in these is it known where "
                "the face is; leave data.rafd.face out."
            )
        top, left, bottom, right = (int(n) for n in self._face)
        return image.crop((left, top, right, bottom))

    def region(self, index: int, label: int) -> Region | None:
        """See ``RegionImages``; the user's regions are of whole images."""
        region = super().region(index, label)
        return region if region is None or self._face is None else region.cut(self._face)


def face_window(side: int) -> Box:
    """The square around the face in an original of RaFD.

    Raises:
        UserError: it is not a whole number, or leaves the image.
    """
    most = 2 * min(*MIDDLE, ORIGINAL[0] - MIDDLE[0], ORIGINAL[1] - MIDDLE[1])
    if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= most:
        raise UserError(
            f"data.rafd.face={side} is impossible: the side of a square around the face, from 1 to "
            f"{most} pixels (the paper: 256), or null."
        )
    top, left = (middle - side // 2 for middle in MIDDLE)
    return Box(top, left, top + side, left + side)


def _by_name(base: Path, angles: Sequence[int]) -> tuple[dict[str, list[Path]], list[str]]:
    found = [(p, _NAME.match(p.name)) for p in files_in(base)]
    files: dict[str, list[Path]] = {}
    other_angle = 0
    for path, match in found:
        if match is None:
            continue
        if int(match["angle"]) not in angles:
            other_angle += 1
            continue
        files.setdefault(match["expression"].lower(), []).append(path)
    if len(files) < 2:
        raise UserError(
            f"'{base}' holds {'one expression' if files else 'no image'} of RaFD at the angles "
            f"{', '.join(str(a) for a in angles)}: names like "
            "Rafd090_01_Caucasian_female_angry_frontal.jpg or one folder per expression are needed."
        )
    nameless = sum(match is None for _, match in found)
    notes = [f"{other_angle:,} images of other camera angles were left out."] if other_angle else []
    if nameless:
        notes.append(f"{nameless:,} images whose names are not RaFD's were left out.")
    return files, notes


def _draw(files: dict[str, list[Path]], by: str, seed: int, base: Path) -> set[Path]:
    """The test files: a random tenth of the images or of the people, at least one."""
    every = sorted((p for paths in files.values() for p in paths), key=lambda p: p.name)
    rng = random.Random(seed)
    if by == "image":
        if len(every) < 2:
            raise UserError(f"'{base}' has {len(every)} image: a train and a test split need two.")
        return set(rng.sample(every, max(1, round(TEST_SHARE * len(every)))))
    people: dict[str, list[Path]] = {}
    for path in every:
        match = _NAME.match(path.name)
        if match is None:
            raise UserError(f"'{path}' does not name its person as RaFD's files do: use by=image.")
        people.setdefault(match["person"], []).append(path)
    if len(people) < 2:
        raise UserError(f"'{base}' shows one person only, which by=person cannot split.")
    chosen = rng.sample(sorted(people), max(1, round(TEST_SHARE * len(people))))
    return {p for person in chosen for p in people[person]}


def _write(path: Path, files: dict[str, list[Path]], test: set[Path]) -> None:
    every = sorted(p for paths in files.values() for p in paths)
    text = "".join(f"{'test' if p in test else 'train'} {p.name}\n" for p in every)
    write_whole(path, text)
