"""Folders of class folders: which files belong to which class and split, and what is left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stargan.data.files import Identity, each_once, files_below, files_in, folders_in, identity
from stargan.data.splits import splits_with
from stargan.errors import UserError
from stargan.imaging.files import counted, other_files
from stargan.labels import label_name, unknown_label

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation"),
}
NOT_A_CLASS = frozenset(name for names in _SPLIT_FOLDERS.values() for name in names)


class ClassFiles(NamedTuple):
    """The files of each class.

    Attributes:
        files: class name to files.
        is_split: whether they are those of one split (the folder has split folders) rather than of
            the whole data set.
        notes: what was left out and how to include it, one sentence each.
    """

    files: dict[str, list[Path]]
    is_split: bool
    notes: list[str]


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
    base: Path, split: str, labels: list[str] | None = None, deep: str | bool = False
) -> ClassFiles:
    """The files of each class.

    Args:
        base: the folder.
        split: see ``ImageFolder``.
        labels: the classes to use, in this order; None: all, sorted.
        deep: whether images in subfolders of a class belong to it; a text: they do not, and this
            is the setting that would have them.

    Raises:
        UserError: see ``ImageFolder``; one file in two classes.
    """
    check_split(split)
    parts = split_folders(base)
    notes = _beside(base, parts) if "train" in parts else []
    if "train" not in parts:
        files, more = _classes(base, labels, deep)
        return ClassFiles(files, False, more)
    train, more = _classes(parts["train"], labels, deep)
    if split == "train":
        return ClassFiles(train, len(parts) > 1, notes + more + _half(base, parts))
    folder = parts.get(split) or (parts.get("val") if split == "test" else None)
    if folder is None:
        if split == "test":
            return ClassFiles(train, False, notes + more + _half(base, parts))
        raise UserError(f"'{base}' has no folder val: add one, or use the test split.")
    other, more = _classes(folder, labels, deep)
    if set(other) != set(train):
        odd = sorted(set(other) ^ set(train))[0]
        has, lacks = (folder, parts["train"]) if odd in other else (parts["train"], folder)
        raise UserError(f"class '{odd}' is in '{has}' but not in '{lacks}': the two must agree.")
    files = {c: other[c] for c in train}
    kept = _not_trained_on(files, train, folder)
    lost = sum(map(len, files.values())) - sum(map(len, kept.values()))
    if lost:
        more.append(
            f"left out: {_images(lost)} that a link makes the same file as a training image."
        )
    return ClassFiles(kept, True, notes + more)


def class_names(base: Path) -> list[str]:
    """All classes of a folder that ``class_files`` takes, chosen or not."""
    return [p.name for p in folders_in(split_folders(base).get("train", base))]


def split_names(base: Path) -> tuple[str, ...]:
    """The splits of a folder: train and test, and val where it does not stand in for test."""
    return splits_with(val=len(split_folders(base)) == len(_SPLIT_FOLDERS))


def split_folders(base: Path) -> dict[str, Path]:
    """The folder of each split that has one; of several for one split the usual name."""
    found: dict[str, Path] = {}
    for split, names in _SPLIT_FOLDERS.items():
        fitting = [p for p in folders_in(base) if p.name.lower() in names]
        # In small letters, then the shorter word, first.
        fitting.sort(key=lambda p: (p.name not in names, len(p.name), p.name))
        if fitting:
            found[split] = fitting[0]
    return found


def _beside(base: Path, parts: dict[str, Path]) -> list[str]:
    """What lies beside the folders of the splits, which is left out."""
    notes = []
    for folder in folders_in(base):
        images = 0 if folder in parts.values() else len(files_below(folder))
        if images:
            twin = next((p.name for s, p in parts.items() if _is_split(folder, s)), "")
            words = f"a second '{twin}'" if twin else "no class of any split"
            notes.append(
                f"left out: '{folder}' with {_images(images)}, {words} (to take them, move them "
                f"into '{parts['train'].parent / (twin or 'train')}')."
            )
    loose = len(files_in(base))
    if loose:
        notes.append(f"left out: {_images(loose)} beside the folders of the splits.")
    return notes


def _half(base: Path, parts: dict[str, Path]) -> list[str]:
    if len(parts) > 1:
        return []
    return [
        f"'{base}' has no test/: about a tenth of each class, by a hash of the names, is held out."
    ]


def _is_split(folder: Path, split: str) -> bool:
    return folder.name.lower() in _SPLIT_FOLDERS[split]


def _images(number: int) -> str:
    return f"{number:,} image{'s' * (number != 1)}"


def _not_trained_on(
    files: dict[str, list[Path]], train: dict[str, list[Path]], folder: Path
) -> dict[str, list[Path]]:
    """Files without those that are training images too, through links.

    Raises:
        UserError: none of a class is left.
    """
    trained = {identity(p) for paths in train.values() for p in paths}
    kept = {c: [p for p in paths if identity(p) not in trained] for c, paths in files.items()}
    none = next((c for c, paths in kept.items() if not paths), None)
    if none is not None:
        raise UserError(
            f"every image of class '{none}' in '{folder}' is a training image too, by a link: hold "
            "out others."
        )
    return kept


def _classes(
    folder: Path, labels: list[str] | None, deep: str | bool
) -> tuple[dict[str, list[Path]], list[str]]:
    """Class name to files, and what was left out."""
    classes: dict[str, Path] = {}
    for path in folders_in(folder):
        name = label_name(path.name)
        if name in classes:
            raise UserError(
                f"'{folder}' has two folders that are both called '{name}', in letters that are "
                "composed and that are not: put their images into one."
            )
        classes[name] = path
    labels = None if labels is None else list(map(label_name, labels))
    bad = next((c for c in classes if c.lower() in NOT_A_CLASS), None)
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
    take = files_below if deep is True else files_in
    every = {name: take(path) for name, path in classes.items()}
    files = {name: each_once(paths) for name, paths in every.items()}
    empty = next((name for name, found in files.items() if not found), None)
    if empty is not None:
        raise UserError(
            f"class '{empty}' in '{folder}' has no images: {_why(classes[empty], deep)}"
        )
    _one_class_each(files)
    notes = _left_out(folder, classes, deep)
    twice = sum(map(len, every.values())) - sum(map(len, files.values()))
    if twice:
        notes.append(f"left out: {twice:,} links to images of the same class.")
    return files, notes


def _why(empty: Path, deep: str | bool) -> str:
    """What could be done about a class folder without images."""
    inner = {p.name.lower() for p in folders_in(empty)} & NOT_A_CLASS
    if inner:
        return f"it holds {' and '.join(sorted(inner))}, so give '{empty}' itself."
    below = len(files_below(empty))
    if below:
        cure = f"{deep} takes them" if isinstance(deep, str) else "move them up into it"
        return f"{_images(below)} of it are in subfolders, {cure}."
    others = other_files(empty)
    return f"it holds {counted(others)}." if others else "fill it or remove it."


def _one_class_each(files: dict[str, list[Path]]) -> None:
    """Refuse a file that is in two classes, through links."""
    seen: dict[Identity, tuple[str, Path]] = {}
    for name, paths in files.items():
        for path in paths:
            first = seen.setdefault(identity(path), (name, path))
            if first[0] != name:
                raise UserError(
                    f"'{first[1]}' and '{path}' are one file, by a link, in the classes "
                    f"'{first[0]}' and '{name}': remove one of them."
                )


def _left_out(folder: Path, classes: dict[str, Path], deep: str | bool) -> list[str]:
    """What in class folders is not taken, one sentence a kind."""
    notes = []
    loose = len(files_in(folder))
    if loose:
        notes.append(
            f"left out: {_images(loose)} in '{folder}' itself (to take them, move them into the "
            "folder of a class)."
        )
    others: Counter[str] = Counter()
    below: dict[str, int] = {}
    for name, path in classes.items():
        others += other_files(path)
        if deep is True:
            for inner in _folders_below(path):
                others += other_files(inner)
        elif any(True for _ in folders_in(path)):
            number = len(files_below(path)) - len(files_in(path))
            below |= {name: number} if number else {}
    if below:
        cure = f"; {deep} takes them" if isinstance(deep, str) else ""
        which = ", ".join(f"{name} {number:,}" for name, number in below.items())
        notes.append(
            f"left out: {_images(sum(below.values()))} in subfolders of classes ({which}){cure}."
        )
    if others:
        notes.append(f"left out, as they are no images here: {counted(others)}.")
    return notes


def _folders_below(folder: Path) -> list[Path]:
    """The folders of images that ``files_below`` visits, below the folder itself."""
    return sorted({p.parent for p in files_below(folder)} - {folder})
