"""Finding the image files of a folder, and saying which files in it are none."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from stargan.errors import UserError
from stargan.imaging.decode import EXTENSIONS, HEIC, NEEDS_HEIC
from stargan.shipped import INPUTS, shipped

UNMENTIONED = frozenset(["thumbs.db", "desktop.ini"])
"""What file managers leave behind, besides hidden files."""

BROKEN = "links that lead nowhere"


def natural_key(name: str) -> list[tuple[int, str]]:
    """A sorting key that puts ``img2`` before ``img10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part.lower())
        for part in re.split(r"(\d+)", name)
        if part
    ]


def is_image(path: Path) -> bool:
    """Whether a file counts as an image in a folder: by its ending, and not hidden."""
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()


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
        found = [p for p in path.iterdir() if is_image(p)]
    except OSError as error:
        raise UserError(f"the folder '{path}' may not be read: change its permissions.") from error
    if not found:
        others = other_files(path)
        hold = f" and holds {counted(others)}" if others else ""
        raise UserError(
            f"no image is in the folder '{path}' (its subfolders are not searched){hold}: "
            "give an image or a folder of images."
        )
    return sorted(found, key=lambda p: (natural_key(p.name), p.name))


def other_files(folder: Path) -> Counter[str]:
    """How many visible files of a folder are no images, by ending in small letters.

    Symbolic links that lead nowhere are counted as such.
    """
    found: Counter[str] = Counter()
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name.lower() in UNMENTIONED:
            continue
        if path.is_symlink() and not path.exists():
            found[BROKEN] += 1
        elif path.suffix.lower() not in EXTENSIONS and path.is_file():
            found[path.suffix.lower()] += 1
    return found


def counted(others: Counter[str]) -> str:
    """``3 .heic (pip install 'stargan[heic]' opens them), 1 .txt``."""
    words = []
    for ending, number in others.most_common():
        hint = f" ({NEEDS_HEIC})" if ending in HEIC else ""
        words.append(f"{number:,} {ending or 'without an ending'}{hint}")
    return ", ".join(words)


def left_out(path: str | Path) -> str:
    """What ``image_files`` passes over in a folder, one sentence; empty: nothing.

    Other files by their endings, and images in subfolders.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return ""
    others = other_files(folder)
    words = [counted(others)] if others else []
    inner = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    below = sum(is_image(p) for one in inner for p in one.rglob("*"))
    words += [f"{below:,} images in its subfolders"] if below else []
    return f"left out of '{folder}': {', and '.join(words)}." if words else ""
