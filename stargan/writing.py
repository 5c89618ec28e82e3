"""Files that are written whole or not at all, and logs that survive a kill."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stargan.errors import UserError


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A place to write a file to, which takes the name ``path`` once it is whole.

    An interrupted or failed write leaves the old file, or none; processes that write the same file
    at once do not meet, and readers never see a part. Makes the folder.

    ::

        with whole(path) as part:
            torch.save(state, part)

    Yields:
        A name in the same folder, hidden, ending in ``.part``. What is inside the block should only
        write it: an ``OSError`` there is taken for one of writing.

    Raises:
        UserError: the place cannot be written to.
    """
    path = Path(path)
    # Not mkstemp: its files stay private (0600) after the renaming. A name of its own length: the
    # file's own may be as long as names can be.
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"'{path}' cannot be written ({error.strerror or error}).") from error


def write_whole(path: str | Path, data: bytes | str) -> None:
    """Write a file whole or not at all, text as UTF-8 and as it is; see ``whole``."""
    with whole(path) as part:
        part.write_bytes(data.encode() if isinstance(data, str) else data)


def append(path: str | Path, text: str) -> None:
    """Add whole lines to a text file, in one write.

    A kill leaves at most one torn line at the end, which the next append cuts off, so that it never
    runs into a whole one. Makes the folder.

    Args:
        path: the file.
        text: lines, each with its end.

    Raises:
        UserError: the place cannot be written to.
    """
    path = Path(path)
    if not text.endswith("\n"):
        raise ValueError("append takes whole lines")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            end = file.seek(0, 2)
            start = end
            while start:  # Back to the last end of a line, a block at a time.
                block = min(start, 4096)
                file.seek(start - block)
                found = file.read(block).rfind(b"\n")
                if found >= 0:
                    start += found + 1 - block
                    break
                start -= block
            if start < end:
                file.truncate(start)
            file.write(text.encode())
    except OSError as error:
        raise UserError(f"'{path}' cannot be written ({error.strerror or error}).") from error


def markdown_row(cells: Iterable[object]) -> str:
    """A row of a Markdown table. Whatever text is in a cell stays in it and stays as it is."""
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: object) -> str:
    text = " ".join(str(value).split("\n"))
    return text.replace("|", "\\|")
