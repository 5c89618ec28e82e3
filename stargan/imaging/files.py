"""Finding the image files of a folder."""

from __future__ import annotations

import re
from pathlib import Path

from stargan.errors import UserError
from stargan.imaging.decode import EXTENSIONS
from stargan.shipped import INPUTS, shipped


def natural_key(name: str) -> list[tuple[int, str]]:
    """A sorting key that puts ``img2`` before ``img10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part.lower())
        for part in re.split(r"(\d+)", name)
        if part
    ]


def image_files(path: str | Path) -> list[Path]:
    """The images of a folder in natural order (hidden files left out), or the one file named.

    ``demo`` means those that come with the package.

    Raises:
        UserError: nothing there, or a folder without images.
    """
    path = shipped(path, INPUTS) or Path(path).expanduser()
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
