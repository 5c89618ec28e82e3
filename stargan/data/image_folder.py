"""Folders of image files: the part all data sets on disk share, and any folder of class folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from stargan.data.class_folders import (
    NOT_A_CLASS,
    class_files,
    class_names,
    labeled_by_class,
    split_folders,
    split_names,
)
from stargan.data.files import each_once, existing_folder, files_below, identity
from stargan.data.region_files import RegionFiles, open_regions
from stargan.data.splits import held_out, splits_with
from stargan.errors import UserError
from stargan.imaging.decode import open_image, sampled_bits
from stargan.imaging.files import counted, other_files
from stargan.imaging.regions import Region
from stargan.labels import LabelSpace, label_name


class FileImages:
    """Image files with labels: one split of one data set (``contracts.RegionImages``).

    Args:
        regions: the user's boxes or masks, see ``region_files``; read when they are first asked
            for, so that training needs them neither right nor there.
        base: the folder of the images of all splits, which ``regions`` names.
        known: all labels that the data have, those not in use too.
        contradictory: whether images may have several labels of an exclusive group.

    Attributes:
        paths: one file per row of ``labels``.
        bits: so many bits of numbers with more than 8 are in use at least; the data module asks
            all splits (``sampled_bits``) and sets it.
        notes: what was left out on the way and why, one sentence each.
        splits: which splits there are besides this one, by the names that ``split`` takes.
    """

    splits: tuple[str, ...] = splits_with(val=False)

    def __init__(
        self,
        space: LabelSpace,
        paths: Sequence[Path],
        labels: Tensor,
        where: str,
        notes: Sequence[str] = (),
        regions: str | Path | None = None,
        base: Path | None = None,
        known: Sequence[str] = (),
        contradictory: bool = False,
    ) -> None:
        alone = LabelSpace(space.names, name=space.name) if contradictory else space
        alone.check(labels, unknown=True)
        self.space = space
        self.paths = list(paths)
        self.labels = labels
        self.where = where
        self.notes = tuple(notes)
        self.bits = 0
        self._regions, self._base, self._known = regions, base, tuple(known)
        # The shortest names that still tell all files apart.
        for name in (_stem, _with_folder, _full):
            self._names = [name(p) for p in self.paths]
            if len(set(self._names)) == len(self.paths):
                break

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, index: int) -> Image.Image:
        """The image as RGB, upright. Raises ``UserError`` naming the file."""
        return open_image(self.paths[index], self.bits)

    def sampled_bits(self) -> int:
        """See ``imaging.decode.sampled_bits``."""
        return sampled_bits(self.paths)

    def name(self, index: int) -> str:
        """The file's name without its extension, with its folder where names repeat."""
        return self._names[index]

    @cached_property
    def keys(self) -> list[str]:
        """What each image is called in the whole data set, whichever split it is in."""
        return [key_of(path, self._base) for path in self.paths]

    @cached_property
    def region_files(self) -> RegionFiles | None:
        """The user's boxes or masks; None where there are none. Raises ``UserError``."""
        if self._regions is None or self._base is None:
            return None
        return open_regions(self._regions, self._base, self.space.names, self._known)

    def about_regions(self) -> str | None:
        """See ``RegionImages``."""
        return self.region_files.about if self.region_files else None

    def region(self, index: int, label: int) -> Region | None:
        """See ``RegionImages``."""
        files = self.region_files
        return files.region(self.paths[index], self.space.names[label]) if files else None


def key_of(path: Path, base: Path | None) -> str:
    """What an image is called in its data set: ``CLASS/name.jpg``, without the folder of its split.

    With ``/`` and composed letters on every machine.
    """
    if base is None or not path.is_relative_to(base):
        return label_name(path.name)
    parts = path.relative_to(base).parts
    parts = parts[1:] if len(parts) > 1 and parts[0].lower() in NOT_A_CLASS else parts
    return label_name("/".join(parts))


def _stem(path: Path) -> str:
    return path.stem


def _with_folder(path: Path) -> str:
    return f"{path.parent.name}_{path.stem}"


def _full(path: Path) -> str:
    return f"{path.parent.name}_{path.name}"


class ImageFolder(FileImages):
    """Any folder of class folders, with or without ``train/`` and ``test/`` around them.

    ``root/train/CLASS/*`` and ``root/test/CLASS/*``, and ``root/val/CLASS/*`` where there is a val
    split (which stands in for a missing ``test/``: then it is the test split and no other);
    or ``root/CLASS/*``, of which about a tenth of each class is the test split, by a hash of the
    names (``splits.held_out``).

    Args:
        root: the folder.
        split: "train", "test", or "val" where there is such a folder.
        seed: of the hash, where there are no split folders.
        labels: the classes to use, in this order; None: all, sorted.
        name: what the label space is called.
        regions: a text of boxes or a folder of masks, see ``region_files``.
        deep: whether images in subfolders of a class belong to it.

    Raises:
        UserError: no folder, no class folders, one class alone, an empty class, a class named
            like a split (the folder given is one too high), unknown classes, too few files, a file
            in two classes.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        seed: int = 1234,
        labels: Sequence[str] | None = None,
        name: str = "folder",
        regions: str | Path | None = None,
        deep: bool = False,
    ) -> None:
        base = existing_folder(root)
        if not isinstance(deep, bool):
            raise UserError(f"deep={deep} is neither true nor false.")
        chosen = None if labels is None else list(labels)
        files, is_split, notes = class_files(base, split, chosen, deep or f"data.{name}.deep=true")
        if not is_split:
            files = {
                c: _share(split, paths, base, seed, f"class '{c}' of '{base}'")
                for c, paths in files.items()
            }
        space = LabelSpace(files, categorical=True, name=name)
        super().__init__(
            space,
            *labeled_by_class(files),
            where=f"{base} ({split})",
            notes=notes,
            regions=regions,
            base=base,
            known=class_names(base),
        )
        self.splits = split_names(base)


class Images(FileImages):
    """All images of a folder and its subfolders, without classes, for methods that need no labels.

    ``root/train/`` and ``root/test/`` (or ``val/``) are the splits where both exist, with
    ``root/val/`` beside them as a third; otherwise about a tenth of all images is the test split,
    by a hash of the names (``splits.held_out``). All have the one label ``image``. A file to which
    links lead is one image.

    Args:
        root: the folder.
        split: "train" or "test", or "val" where all three folders exist.
        seed: of the hash, where there are no split folders.

    Raises:
        UserError: no folder, too few images in it, or no such split.
    """

    def __init__(self, root: str | Path, split: str, seed: int = 1234) -> None:
        base = existing_folder(root)
        self.splits = split_names(base)
        if split not in self.splits:
            raise UserError(
                f"unknown split '{split}' of '{base}': choose {', '.join(self.splits)}."
            )
        parts = split_folders(base)
        parts.setdefault("test", parts.get("val", base))
        notes = []
        if "train" in parts and parts["test"] != base:
            found = files_below(parts[split])
            paths = each_once(found)
            if split != "train":
                trained = set(map(identity, files_below(parts["train"])))
                paths = [p for p in paths if identity(p) not in trained]
            if not paths:
                raise UserError(
                    f"'{parts[split]}' holds no images{' but training images' * bool(found)}: give "
                    "another folder."
                )
        else:
            found = files_below(base)
            paths = each_once(found)
        if len(paths) < len(found):
            notes.append(
                f"{len(found) - len(paths):,} links to images that are there already were left out."
            )
        if "train" not in parts or parts["test"] == base:
            paths = _share(split, paths, base, seed, f"'{base}'")
        others = sum(map(other_files, {base, *(p.parent for p in found)}), Counter[str]())
        if others:
            notes.append(f"left out, as they are no images here: {counted(others)}.")
        space = LabelSpace(("image",), categorical=True, name="images")
        super().__init__(
            space,
            paths,
            torch.ones(len(paths), 1),
            where=f"{base} ({split})",
            notes=notes,
            base=base,
        )


def _share(split: str, paths: list[Path], base: Path, seed: int, where: str) -> list[Path]:
    """The train or the test part of some files, see ``held_out``."""
    if split == "val":
        raise UserError(f"{where} has no split val: only train and test are drawn.")
    test = held_out([key_of(p, base) for p in paths], seed, where)
    return [p for p, is_test in zip(paths, test, strict=True) if is_test == (split == "test")]
