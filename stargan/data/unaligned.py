"""Two folders of images that belong to two domains, in the layout of CycleGAN's code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stargan.data.class_folders import labeled_by_class
from stargan.data.files import each_once, existing_folder, files_below, folders_in
from stargan.data.image_folder import FileImages
from stargan.errors import UserError
from stargan.labels import LabelSpace

SIDES = ("A", "B")


class Unaligned(FileImages):
    """``root/trainA``, ``root/trainB``, ``root/testA`` and ``root/testB``.

    All images below them, in any number: nothing is paired. ``valA`` and ``valB`` are the val split
    where both are there.

    Args:
        root: the folder.
        split: "train", "test", or "val".
        names: what the domains are called; None: A and B.

    Raises:
        UserError: no folder, one of the four is missing or empty, or names that are not two.
    """

    def __init__(self, root: str | Path, split: str, names: Sequence[str] | None = None) -> None:
        base = existing_folder(root)
        called = list(SIDES) if names is None else [str(name) for name in names]
        if len(called) != len(SIDES) or isinstance(names, str):
            raise UserError(f"names={names}: there are two domains, name both: names=[A,B].")
        there = {path.name.lower(): path for path in folders_in(base)}
        wanted = [f"{split}{side}" for side in SIDES]
        missing = [name for name in wanted if name.lower() not in there]
        if missing:
            raise UserError(
                f"'{base}' has no folder {' and no folder '.join(missing)}: the layout is trainA, "
                "trainB, testA, testB."
            )
        files = {
            n: each_once(files_below(there[w.lower()])) for n, w in zip(called, wanted, strict=True)
        }
        for name, path in zip(called, wanted, strict=True):
            if not files[name]:
                raise UserError(
                    f"'{there[path.lower()]}' holds no images, so one side of the pair is empty: "
                    "fill it."
                )
        space = LabelSpace(called, categorical=True, name="unaligned")
        super().__init__(space, *labeled_by_class(files), where=f"{base} ({split})")
        has_val = all(f"val{side}".lower() in there for side in SIDES)
        self.splits = ("train", "val", "test") if has_val else ("train", "test")
