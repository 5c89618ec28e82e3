"""Folders of image files: the part all data sets on disk share, and any folder of class folders."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from stargan.data.files import existing_folder, files_below, files_in, folders_in
from stargan.data.region_files import RegionFiles, open_regions
from stargan.data.splits import splits_with
from stargan.errors import UserError
from stargan.imaging.decode import open_image
from stargan.imaging.regions import Region
from stargan.labels import LabelSpace, label_name, unknown_label

TEST_SHARE = 0.1
_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation"),
}
_NOT_A_CLASS = frozenset(name for names in _SPLIT_FOLDERS.values() for name in names)


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
        return open_image(self.paths[index])

    def name(self, index: int) -> str:
        """The file's name without its extension, with its folder where names repeat."""
        return self._names[index]

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
    or ``root/CLASS/*``, of which a seeded tenth of each class is the test split.

    Args:
        root: the folder.
        split: "train", "test", or "val" where there is such a folder.
        seed: of the split, where there are no split folders.
        labels: the classes to use, in this order; None: all, sorted.
        name: what the label space is called.
        regions: a text of boxes or a folder of masks, see ``region_files``.

    Raises:
        UserError: no folder, no class folders, one class alone, an empty class, a class named
            like a split (the folder given is one too high), unknown classes, too few files.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        seed: int = 1234,
        labels: Sequence[str] | None = None,
        name: str = "folder",
        regions: str | Path | None = None,
    ) -> None:
        base = existing_folder(root)
        files, is_split = class_files(base, split, labels)
        if not is_split:
            files = {
                c: _share(split, paths, random.Random(f"{seed} {c}"), f"class '{c}' of '{base}'")
                for c, paths in files.items()
            }
        space = LabelSpace(files, categorical=True, name=name)
        super().__init__(
            space,
            *labeled_by_class(files),
            where=f"{base} ({split})",
            regions=regions,
            base=base,
            known=class_names(base),
        )
        self.splits = split_names(base)


class Images(FileImages):
    """All images of a folder and its subfolders, without classes, for methods that need no labels.

    ``root/train/`` and ``root/test/`` (or ``val/``) are the splits where both exist, with
    ``root/val/`` beside them as a third; otherwise a seeded tenth of all images is the test split.
    All have the one label ``image``.

    Args:
        root: the folder.
        split: "train" or "test", or "val" where all three folders exist.
        seed: of the split, where there are no split folders.

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
        parts = _split_folders(base)
        parts.setdefault("test", parts.get("val", base))
        if "train" in parts and parts["test"] != base:
            paths = files_below(parts[split])
        else:
            paths = _share(split, files_below(base), random.Random(seed), f"'{base}'")
        if not paths:
            raise UserError(f"'{parts.get(split, base)}' holds no images: give another folder.")
        space = LabelSpace(("image",), categorical=True, name="images")
        super().__init__(space, paths, torch.ones(len(paths), 1), where=f"{base} ({split})")


def labeled_by_class(files: dict[str, list[Path]]) -> tuple[list[Path], Tensor]:
    """All files of all classes, and their one-hot labels ``(N, number of classes)``."""
    paths = [p for group in files.values() for p in group]
    classes = torch.tensor([i for i, group in enumerate(files.values()) for _ in group])
    return paths, torch.nn.functional.one_hot(classes, len(files)).float()


def check_split(split: str) -> None:
    """Refuse a split that no data set has."""
    if split not in _SPLIT_FOLDERS:
        raise UserError(f"unknown split '{split}': choose {', '.join(_SPLIT_FOLDERS)}.")


def class_files(
    base: Path, split: str, labels: Sequence[str] | None = None
) -> tuple[dict[str, list[Path]], bool]:
    """The files of each class.

    Returns:
        Class name to files, and whether they are those of ``split`` alone (the folder has split
        folders) rather than of the whole data set.

    Raises:
        UserError: see ``ImageFolder``.
    """
    check_split(split)
    parts = _split_folders(base)
    if "train" not in parts:
        return _classes(base, labels), False
    train = _classes(parts["train"], labels)
    if split == "train":
        return train, len(parts) > 1
    folder = parts.get(split) or (parts.get("val") if split == "test" else None)
    if folder is None:
        if split == "test":
            return train, False
        raise UserError(f"'{base}' has no folder val: add one, or use the test split.")
    other = _classes(folder, labels)
    if set(other) != set(train):
        odd = sorted(set(other) ^ set(train))[0]
        has, lacks = (folder, parts["train"]) if odd in other else (parts["train"], folder)
        raise UserError(f"class '{odd}' is in '{has}' but not in '{lacks}': the two must agree.")
    return {c: other[c] for c in train}, True


def class_names(base: Path) -> list[str]:
    """All classes of a folder that ``class_files`` takes, chosen or not."""
    return [p.name for p in folders_in(_split_folders(base).get("train", base))]


def split_names(base: Path) -> tuple[str, ...]:
    """The splits of a folder: train and test, and val where it does not stand in for test."""
    return splits_with(val=len(_split_folders(base)) == len(_SPLIT_FOLDERS))


def _split_folders(base: Path) -> dict[str, Path]:
    lower = {p.name.lower(): p for p in folders_in(base)}
    return {
        split: next(lower[n] for n in names if n in lower)
        for split, names in _SPLIT_FOLDERS.items()
        if any(n in lower for n in names)
    }


def _classes(folder: Path, labels: Sequence[str] | None) -> dict[str, list[Path]]:
    classes = {label_name(p.name): p for p in folders_in(folder)}
    labels = None if labels is None else list(map(label_name, labels))
    bad = next((c for c in classes if c.lower() in _NOT_A_CLASS), None)
    if bad is not None:
        raise UserError(
            f"'{folder}' holds a folder '{bad}', which would become a class: you pointed at the "
            "parent or at half of a data set; give the folder that holds train/ and test/, or "
            "one folder per class."
        )
    if labels is not None:
        unknown = next((c for c in labels if c not in classes), None)
        if unknown is not None:
            raise UserError(
                f"{unknown_label(unknown, list(classes))[:-1]} (folders of '{folder}')."
            )
        classes = {c: classes[c] for c in labels}
    if len(classes) < 2:
        found = f"one class, '{next(iter(classes))}'" if classes else "no class folders"
        raise UserError(
            f"'{folder}' holds {found}: translation needs at least two folders of images, "
            "one per class."
        )
    files = {name: files_in(path) for name, path in classes.items()}
    empty = next((name for name, found in files.items() if not found), None)
    if empty is not None:
        inner = {p.name.lower() for p in folders_in(classes[empty])} & _NOT_A_CLASS
        hint = (
            f"it holds {' and '.join(sorted(inner))}, so give '{classes[empty]}' itself."
            if inner
            else "fill it or remove it."
        )
        raise UserError(f"class '{empty}' in '{folder}' has no images: {hint}")
    return files


def _share(split: str, paths: list[Path], rng: random.Random, where: str) -> list[Path]:
    """The train or the test part of some files: a random tenth, at least one, is for testing."""
    if split == "val":
        raise UserError(f"{where} has no split val: only train and test are drawn at random.")
    test = draw_test(paths, rng, where)
    return [p for p in paths if (p in test) == (split == "test")]


def draw_test(items: Sequence[Path], rng: random.Random, where: str) -> set[Path]:
    """A random tenth of the files, at least one.

    Raises:
        UserError: fewer than two files, which cannot be split.
    """
    if len(items) < 2:
        raise UserError(f"{where} has {len(items)} image: a train and a test split need two.")
    return set(rng.sample(list(items), max(1, round(TEST_SHARE * len(items)))))
