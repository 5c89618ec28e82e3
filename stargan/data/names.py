"""Finding files by the names that people write for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from stargan.errors import UserError
from stargan.imaging.decode import EXTENSIONS, HEIC
from stargan.labels import label_name


class Names:
    """Names that are there, found by what people write for them.

    What is written may lack the ending or have another one, and may have folders in front, of this
    machine or another; where the names that are there have folders too, those of both must agree as
    far as both go.

    Args:
        there: names, all of which ``all`` has, with ``/`` between
            folders, without ``./``.
    """

    def __init__(self, there: Iterable[str]) -> None:
        self._there = {label_name(name): name for name in there}
        self.all = list(self._there.values())
        self._by_stem: dict[str, list[str]] | None = None

    def find(self, written: str) -> str | None:
        """The name that is meant; None where there is none.

        Raises:
            UserError: it may be several.
        """
        name = label_name(written)
        if name in self._there:
            return self._there[name]
        name = name.replace("\\", "/").strip()
        path = PurePosixPath(name)
        if str(path) in self._there:
            return self._there[str(path)]
        if self._by_stem is None:
            self._by_stem = {}
            for known in self._there:
                self._by_stem.setdefault(_stem(PurePosixPath(known)), []).append(known)
        found = [n for n in self._by_stem.get(_stem(path), ()) if _agree(path, PurePosixPath(n))]
        for closer in (_same_name, _same_ending):
            if len(found) > 1:
                found = [n for n in found if closer(path, PurePosixPath(n))] or found
        if len(found) > 1:
            raise UserError(
                f"'{written}' may be '{found[0]}' or '{found[1]}': write its folder and its ending."
            )
        return self._there[found[0]] if found else None


def _stem(path: PurePosixPath) -> str:
    is_ending = path.suffix.lower() in EXTENSIONS | HEIC
    return (path.stem if is_ending else path.name).casefold()


def _agree(one: PurePosixPath, other: PurePosixPath) -> bool:
    """Whether the folders of two names are the same, as far as both have some."""
    mine, theirs = one.parts[:-1][::-1], other.parts[:-1][::-1]
    return all(a == b for a, b in zip(mine, theirs, strict=False))


def _same_name(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one.name == other.name


def _same_ending(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one.suffix.lower() == other.suffix.lower()
