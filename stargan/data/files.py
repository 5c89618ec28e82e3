"""Folders of image files: which files are in them, in which order."""

from __future__ import annotations

from pathlib import Path

from stargan.errors import UserError
from stargan.imaging.decode import EXTENSIONS
from stargan.imaging.files import natural_key


def existing_folder(root: str | Path) -> Path:
    """``root`` as a path. Raises ``UserError`` when it is no folder."""
    base = Path(root).expanduser()
    if not base.is_dir():
        what = "is a file" if base.exists() else "does not exist"
        raise UserError(f"the data folder '{base}' {what}: give the folder of the images.")
    return base


def files_in(folder: Path) -> list[Path]:
    """The image files in a folder, in natural order, hidden ones left out."""
    found = [
        p
        for p in folder.iterdir()
        if p.suffix.lower() in EXTENSIONS and not p.name.startswith(".") and p.is_file()
    ]
    return sorted(found, key=lambda p: (natural_key(p.name), p.name))


def files_below(folder: Path) -> list[Path]:
    """The image files in a folder and all its visible subfolders, in natural order."""
    return files_in(folder) + [p for inner in folders_in(folder) for p in files_below(inner)]


def folders_in(folder: Path) -> list[Path]:
    """The visible folders in a folder, in natural order."""
    found = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__"))]
    return sorted(found, key=lambda p: (natural_key(p.name), p.name))
