"""Names of the files that translations are written to."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path


def output_names(
    files: Sequence[Path], captions: Sequence[str], taken: Iterable[str] = ()
) -> list[list[str]]:
    """File names ``<stem>_<edits>.png``, safe on every system and all different.

    Files of one stem (``a.jpg``, ``a.png``) keep their extension (``a_jpg_Male.png``); whatever
    still collides is numbered. Compared without case, for file systems that ignore it.

    Args:
        files: the inputs.
        captions: one for each output of an input.
        taken: names that may not be used.

    Returns:
        For each file a name for each caption.
    """
    stems = Counter(p.stem.casefold() for p in files)
    tags = [_safe(caption.replace(", ", "_").replace("=", "-")) for caption in captions]
    used = {name.casefold() for name in taken}
    names = []
    for file in files:
        stem = file.stem
        if stems[stem.casefold()] > 1:
            stem += "_" + file.suffix[1:].lower()
        row = []
        for tag in tags:
            name = base = f"{_short(stem)}_{tag}"
            count = 1
            while f"{name}.png".casefold() in used:
                count += 1
                name = f"{base}_{count}"
            used.add(f"{name}.png".casefold())
            row.append(f"{name}.png")
        names.append(row)
    return names


def _safe(text: str) -> str:
    return _short(re.sub(r"[^\w.+-]+", "-", text))


def _short(text: str) -> str:
    """At most 80 characters; a long text keeps its beginning and gets a fingerprint."""
    if len(text.encode()) <= 80:
        return text
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:8]
    return text.encode()[:70].decode(errors="ignore") + "-" + fingerprint
