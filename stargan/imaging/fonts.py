"""Fonts for captions: one that has all letters of a text, whatever its script."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

log = logging.getLogger(__name__)


@lru_cache(maxsize=256)
def font_for(text: str, size: int) -> Font:
    """A font of this size that can draw a text.

    Pillow's own for ASCII; otherwise the first that has all letters of: DejaVu Sans, which comes
    with matplotlib (Latin, Greek, Cyrillic, Arabic, Hebrew, Georgian, Armenian and others); IPAex
    Gothic (Japanese, Chinese characters), if the package matplotlib-fontja is there; the fonts of
    the system. Where none has them, the one that lacks the fewest, and that is said.
    """
    if text.isascii():
        return ImageFont.load_default(size)
    wanted = {ord(c) for c in text if not c.isspace()}
    packaged = {path: len(wanted - _letters(path)) for path in _packaged()}
    path = min(packaged, key=packaged.__getitem__)
    if packaged[path]:
        complete = _of_the_system(frozenset(wanted))
        if complete is None:
            _say("".join(chr(c) for c in sorted(wanted - _letters(path))))
        path = complete or path
    return ImageFont.truetype(str(path), size)


def _packaged() -> Iterator[Path]:
    """Fonts that came with packages."""
    import matplotlib

    yield Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    spec = find_spec("matplotlib_fontja")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield from sorted(Path(place).glob("fonts/*.ttf"))


@lru_cache(maxsize=64)
def _letters(path: Path) -> frozenset[int]:
    """The code points that a font has."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError):  # no font that FreeType can open
        return frozenset()


@lru_cache(maxsize=64)
def _of_the_system(wanted: frozenset[int]) -> Path | None:
    """A font of the system that has all these letters; None where there is none."""
    from matplotlib.font_manager import fontManager

    for name in dict.fromkeys(entry.fname for entry in fontManager.ttflist):
        if "LastResort" not in name and wanted <= _letters(Path(name)):
            return Path(name)
    return None


@lru_cache(maxsize=64)
def _say(missing: str) -> None:
    """Once for the same letters."""
    log.warning(
        "no font here has the letters %s, so captions show boxes instead: pip install "
        "'stargan[fonts]' has Japanese and Chinese ones.",
        missing,
    )
