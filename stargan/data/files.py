"""Folders of image files: which files are in them, in which order, each file once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from stargan.errors import UserError
from stargan.imaging.files import is_image, natural_key

Identity = tuple[int, int] | str
"""Device and number of the real file or folder behind a path."""


def existing_folder(root: str | Path) -> Path:
    """``root`` as a path. Raises ``UserError`` when it is no folder."""
    base = Path(root).expanduser()
    if not base.is_dir():
        what = "is a file" if base.exists() else "does not exist"
        raise UserError(f"the data folder '{base}' {what}: give the folder of the images.")
    return base


def files_in(folder: Path) -> list[Path]:
    """The image files in a folder, in natural order, hidden ones left out."""
    return sorted(filter(is_image, folder.iterdir()), key=lambda p: (natural_key(p.name), p.name))


def files_below(folder: Path) -> list[Path]:
    """The image files in a folder and all its visible subfolders, in natural order.

    Each real folder once, and none that ``folder`` is in: symbolic links may lead back.
    """
    return list(_below(folder, {identity(p) for p in folder.resolve().parents}))


def _below(folder: Path, seen: set[Identity]) -> Iterator[Path]:
    here = identity(folder)
    if here in seen:
        return
    seen.add(here)
    yield from files_in(folder)
    for inner in folders_in(folder):
        yield from _below(inner, seen)


def folders_in(folder: Path) -> list[Path]:
    """The visible folders in a folder, in natural order; no link to a folder that it is in."""
    found = [
        p
        for p in folder.iterdir()
        if p.is_dir() and not p.name.startswith((".", "__")) and not _leads_back(p)
    ]
    return sorted(found, key=lambda p: (natural_key(p.name), p.name))


def _leads_back(path: Path) -> bool:
    if not path.is_symlink():
        return False
    above = path.parent.resolve()
    return path.resolve() in (above, *above.parents)


def identity(path: Path) -> Identity:
    """What two paths to the same file or folder have in common, through links of either kind."""
    about = path.stat()
    # File systems that number nothing.
    return (about.st_dev, about.st_ino) if about.st_ino else str(path.resolve())


def each_once(paths: Sequence[Path]) -> list[Path]:
    """Paths without those that lead to a file which another one leads to; links go first."""
    found: dict[Identity, Path] = {}
    for path in sorted(paths, key=lambda p: p.is_symlink()):
        found.setdefault(identity(path), path)
    kept = set(found.values())
    return [path for path in paths if path in kept]
